// A balancer of the built package with sinks of all kinds, driven by its input: for tests of what each sink gets under faults.
// What a sink of its own takes goes to `<out>/<sink>.jsonl`, what the one for standard output gets to standard output.
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createAudit, createBalancer, fileSink, httpSink, stdoutSink } from 'auditlb'

const { out, url, file, queueBytes } = JSON.parse(process.argv[2])
const filter = { events: ['access.denied', 'config.*', 'audit.*', 'app.last'] }

/** How the sinks of its own fare. */
let mode = 'ok'
const isPoison = (line) => line.includes('"poison":true')
const take = (name, lines) => appendFileSync(join(out, `${name}.jsonl`), lines.map((line) => `${line}\n`).join(''))

const custom = (name, more) => ({
  name,
  feed: { intervalMs: 20, lines: 100, timeoutMs: 300 },
  ...more,
  async write({ lines }) {
    if (mode === 'fail') throw new Error('it is away')
    if (mode === 'hang') return new Promise(() => {})
    if (mode === 'slow') await new Promise((resolve) => setTimeout(resolve, 50))
    if (mode === 'refuse' && lines.some(isPoison)) throw Object.assign(new Error('poison'), { permanent: true })
    take(name, lines)
    if (mode === 'forget' && lines.length % 2 === 0) throw new Error('the answer was lost')
  },
})

/** Names the lines that it refuses, and takes the others. */
const picky = {
  name: 'picky',
  feed: { intervalMs: 20, lines: 100 },
  async write({ lines }) {
    take('picky', mode === 'refuse' ? lines.filter((line) => !isPoison(line)) : lines)
    const rejected = lines.filter(isPoison).map((line) => JSON.parse(line).audit.index)
    if (mode === 'refuse' && rejected.length > 0) throw Object.assign(new Error('poison'), { rejected })
  },
}

/** How far its wall clock is off. */
let offMs = 0
const clock = {
  now: () => Date.now() + offMs,
  monoUs: () => Math.trunc(performance.now() * 1000),
  after(ms, fn, hold = false) {
    const timer = setTimeout(fn, ms)
    if (!hold) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

const silent = { warn: () => {}, error: () => {} }
const audit = createAudit({
  service: 'shop',
  clock,
  // Pauses are short and grow all the same.
  random: { uint32: () => 2 ** 26 },
  logger: silent,
  ...(queueBytes === undefined ? {} : { queueBytes }),
  sinks: [
    ...(file === undefined ? [] : [fileSink({ instance: 'a', ...file })]),
    httpSink({ url, intervalMs: 20, batchLines: 100, timeoutMs: 300 }),
    stdoutSink({ format: 'json', maxLineBytes: false }),
    custom('custom'),
    custom('filtered', { filter }),
    picky,
  ],
})
const emitted = {}
audit.on('*', ({ event_name }) => {
  emitted[event_name] = (emitted[event_name] ?? 0) + 1
})
// Without a file it is open before anybody can listen.
if (file === undefined) emitted['audit.opened'] = 1
const balancer = createBalancer({ name: 'edge', backends: [{ id: 'b1', url: 'http://127.0.0.1:1' }], audit })
const ops = balancer.as({ id: 'ops', type: 'service' })
await balancer.ready().catch(() => {})

let n = 0
const texts = Array.from({ length: 30 }, () => 'x'.repeat(1000))
const commands = {
  async emit(rounds, size) {
    for (let i = 0; i < Number(rounds); i++) {
      audit.record('app.x', { n: n++, ...(n % 50 === 7 && { poison: true }), ...(size === 'large' && { texts }) })
      audit.record('access.denied', { rule: 'r' })
      balancer.pick({ path: '/' }).done({ result: 'ok' })
      if (i % 100 === 99) void ops.setWeight('b1', 1 + (n % 90)).catch(() => {})
      if (i % 20 === 19) await new Promise(setImmediate)
    }
  },
  /** Behind all else. */
  last() {
    audit.record('app.last', {})
  },
  mode(next) {
    mode = next
  },
  step(ms) {
    offMs += Number(ms)
  },
  async stop() {
    await balancer.close()
    const { undelivered } = await audit.close({ deadlineMs: 30_000 })
    process.stdout.write(`done ${JSON.stringify({ emitted, undelivered })}\n`)
    process.exit()
  },
}
process.stdout.write('ready\n')
for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...given] = line.split(' ')
  await commands[name](...given)
  process.stdout.write(`did ${line}\n`)
}
