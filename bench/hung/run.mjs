// The bench of a sink that hangs: what it does to requests, to the other sinks and to memory, beside runs without it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { message, start, stop } from '../lib/child.mjs'
import { shareCores } from '../lib/machine.mjs'
import { median, quantile } from '../lib/stats.mjs'
import { usage } from '../lib/usage.mjs'

const pace = { connections: 64, perSecond: 1000 }
const warmUp = 3000
// The balancers take turns of a second, so that a slow spell of the machine falls on all of them.
const slice = 1000
const slices = 16
// After it the last lines are at the collector.
const settleMs = 2000

const here = (name) => fileURLToPath(new URL(name, import.meta.url))

class Subject {
  /** Of each slice. */
  latencies = []
  #child
  #load
  #port

  constructor(name, load, child) {
    this.name = name
    this.#load = load
    this.#child = child
  }

  async begin() {
    this.#port = (await message(this.#child)).port
    await this.#ask(warmUp)
  }

  async slice() {
    this.latencies.push(await this.#ask(slice))
  }

  get usage() {
    return usage(this.#child.pid)
  }

  end() {
    return stop(this.#child)
  }

  async #ask(total) {
    this.#load.send({ ...pace, port: this.#port, total })
    const { latencies, errors } = await message(this.#load, 60_000)
    if (Object.keys(errors).length > 0) throw new Error(`${this.name}: ${JSON.stringify(errors)}`)
    return latencies
  }
}

const p99 = (numbers) => quantile(Float64Array.from(numbers).sort(), 0.99)

async function ask(child, type) {
  child.send({ type })
  return message(child)
}

async function measure(subjects, collectors) {
  for (const subject of subjects) await subject.begin()
  await sleep(settleMs)
  await ask(collectors, 'begin')
  const before = subjects.map((subject) => subject.usage.cpuUs)
  for (let i = 0; i < slices; i++) {
    process.stderr.write(`slice ${i + 1}/${slices}\n`)
    for (const subject of i % 2 === 0 ? subjects : subjects.toReversed()) await subject.slice()
  }
  await sleep(settleMs)
  const { delays } = await ask(collectors, 'end')
  return subjects.map(({ name, latencies, usage }, i) => {
    const all = latencies.flat()
    const missing = all.length - (delays[name]?.length ?? 0)
    if (missing > 0) throw new Error(`${name}: ${missing} lines were not delivered`)
    return {
      usual: median(latencies.map(p99)),
      whole: p99(all),
      delivery: p99(delays[name]),
      cpu: (usage.cpuUs - before[i]) / all.length,
      rss: usage.peakBytes / 2 ** 20,
    }
  })
}

const rows = [
  ['p99 of the requests of a second, median, ms', 'usual', 1],
  ['p99 of all requests, ms', 'whole', 1],
  ['p99 of delivery to the collector, ms', 'delivery', 0],
  ['CPU, µs/request', 'cpu', 0],
  ['peak RSS, MiB', 'rss', 0],
]

function table(without, having) {
  const head = ['', 'without', 'with', 'median with', 'within the spread without']
  const body = rows.map(([label, of, digits]) => {
    const [controls, hung] = [without, having].map((runs) => runs.map((run) => run[of]).sort((a, b) => a - b))
    const print = (numbers) => numbers.map((number) => number.toFixed(digits)).join(', ')
    const middle = median(hung)
    const most = controls.at(-1)
    const verdict = middle <= most ? 'yes' : `no, ${((middle / most - 1) * 100).toFixed(0)} % above`
    return [label, print(controls), print(hung), middle.toFixed(digits), verdict]
  })
  return [head, head.map(() => '---'), ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

async function play(folder) {
  const cores = shareCores()
  const children = ['load.mjs', 'collectors.mjs', '../lib/backends.mjs'].map((name) => start(here(name), cores.load))
  const [load, collectors] = children
  const subjects = []
  try {
    const [, { collector, hung }, backends] = await Promise.all(children.map((child) => message(child)))
    for (const name of ['without-1', 'with-1', 'without-2', 'with-2', 'without-3', 'with-3']) {
      const dir = join(folder, name)
      mkdirSync(dir)
      const given = { backends, dir, collector: `${collector}/${name}`, ...(name.startsWith('with-') ? { hung } : {}) }
      subjects.push(new Subject(name, load, start(here('balancer.mjs'), cores.proxy, JSON.stringify(given))))
    }
    const figures = await measure(subjects, collectors)
    return table(...[0, 1].map((kind) => figures.filter((_, i) => i % 2 === kind)))
  } finally {
    await Promise.all(subjects.map((subject) => subject.end()))
    await Promise.all(children.map((child) => stop(child)))
  }
}

const folder = mkdtempSync(join(tmpdir(), 'auditlb-bench-'))
try {
  const text = await play(folder)
  const { perSecond } = pace
  const machine = `Node ${process.versions.node}, ${cpus()[0]?.model ?? 'an unknown CPU'}`
  console.log(
    `${machine}; ${perSecond} requests/s, ${(slices * slice) / 1000} thousand to each of six processes.\n\n${text}`,
  )
} catch (error) {
  console.error(`bench: ${error.message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
