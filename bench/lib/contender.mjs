// One peer in one round: its fresh process, the requests that it answered, and what they cost.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { message, start, stop } from './child.mjs'
import { countRecords } from './records.mjs'
import { quantile } from './stats.mjs'
import { usage } from './usage.mjs'

const RUN_MS = 20_000
const REPLY_MS = 10_000

export class Contender {
  peer
  #load
  #connections
  #dir
  #child
  #port
  #pid
  #asked = 0
  #errors = {}
  #failed = false
  #latencies = []
  #elapsedMs = 0
  #before
  #after

  constructor(peer, { load, backends, cores, folder, options }) {
    this.peer = peer
    this.#load = load
    this.#connections = options.connections
    this.#dir = join(folder, peer.name)
    mkdirSync(this.#dir)
    const file = fileURLToPath(new URL(`../peers/${peer.name}.mjs`, import.meta.url))
    this.#child = start(file, cores.proxy, JSON.stringify({ backends, dir: this.#dir }))
  }

  async warmUp(requests) {
    await this.#attempt(async () => {
      const { port, pid = this.#child.pid } = await message(this.#child)
      this.#port = port
      this.#pid = pid
      await this.#order({ type: 'open', count: this.#connections })
      await this.#run(requests)
    })
  }

  async slice(requests) {
    await this.#attempt(async () => {
      const { latencies, elapsedMs } = await this.#run(requests)
      this.#latencies.push(...latencies)
      this.#elapsedMs += elapsedMs
    })
  }

  /** CPU time is counted between the two marks. */
  async markStart() {
    await this.#attempt(() => {
      this.#before = usage(this.#pid)
    })
  }

  async markEnd() {
    await this.#attempt(() => {
      this.#after = usage(this.#pid)
    })
  }

  /** Ends the process, checks its log, removes its folder. */
  async leave() {
    await this.#attempt(() => this.#order({ type: 'close' }))
    await stop(this.#child, this.#pid)
    const missing = this.peer.logs && !this.#failed ? this.#asked - countRecords(this.#dir) : 0
    if (missing !== 0) this.#count('records missing', missing)
    rmSync(this.#dir, { recursive: true, force: true })
  }

  figures() {
    const answered = this.#latencies.length
    if (this.#failed || answered === 0) return { errors: this.#errors }
    const sorted = Float64Array.from(this.#latencies).sort()
    return {
      requests: answered,
      cpuUs: (this.#after.cpuUs - this.#before.cpuUs) / answered,
      perSecond: (answered / this.#elapsedMs) * 1000,
      p50Ms: quantile(sorted, 0.5),
      p99Ms: quantile(sorted, 0.99),
      peakBytes: this.#after.peakBytes,
      errors: this.#errors,
    }
  }

  async #run(requests) {
    const result = await this.#order({ type: 'run', requests, maxMs: RUN_MS }, RUN_MS + REPLY_MS)
    this.#asked += result.sent
    for (const [fault, times] of Object.entries(result.errors)) this.#count(fault, times)
    const { exitCode, signalCode } = this.#child
    if (exitCode !== null || signalCode !== null) throw new Error(`exited with ${signalCode ?? exitCode}`)
    return result
  }

  async #order(order, timeoutMs = REPLY_MS) {
    this.#load.send({ ...order, port: this.#port })
    return await message(this.#load, timeoutMs)
  }

  /** A peer that fails once is out for this round; its own words go to stderr. */
  async #attempt(step) {
    if (this.#failed) return
    try {
      await step()
    } catch (error) {
      this.#failed = true
      this.#count(error.message, 1)
      if (this.#child.lastWords !== '') console.error(this.#child.lastWords.trim())
    }
  }

  #count(fault, times) {
    this.#errors[fault] = (this.#errors[fault] ?? 0) + times
  }
}
