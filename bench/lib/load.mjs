// The load generator, a process of its own: on each order it opens connections to a proxy, or sends it a number of requests.
import { Connection } from './connection.mjs'

const GRACE_MS = 5000

/** What has been sent and answered in one run; no request starts after `maxMs`. */
class Run {
  #latencies
  #deadline
  #done
  sent = 0
  settled = 0
  answered = 0
  errors = {}
  finished

  constructor(requests, maxMs, done) {
    this.#latencies = new Float64Array(requests)
    this.#deadline = performance.now() + maxMs
    this.#done = done
  }

  take() {
    if (this.finished || this.sent === this.#latencies.length || performance.now() > this.#deadline) return false
    this.sent++
    return true
  }

  settle(elapsed, fault) {
    if (this.finished) return
    this.settled++
    if (fault === undefined) this.#latencies[this.answered++] = elapsed
    else this.#count(fault, 1)
    const over = this.sent === this.#latencies.length || performance.now() > this.#deadline
    if (over && this.settled === this.sent) this.finish()
  }

  finish() {
    if (this.finished) return
    this.finished = true
    if (this.sent > this.settled) this.#count('no answer', this.sent - this.settled)
    this.#done()
  }

  latencies() {
    return Array.from(this.#latencies.subarray(0, this.answered))
  }

  #count(fault, times) {
    this.errors[fault] = (this.errors[fault] ?? 0) + times
  }
}

const targets = new Map()

const orders = {
  open({ port, count }) {
    targets.set(
      port,
      Array.from({ length: count }, () => new Connection(port)),
    )
    process.send({})
  },
  run({ port, requests, maxMs }) {
    const startedAt = performance.now()
    const run = new Run(requests, maxMs, () => {
      clearTimeout(timer)
      const elapsedMs = performance.now() - startedAt
      process.send({ sent: run.sent, errors: run.errors, elapsedMs, latencies: run.latencies() })
    })
    const timer = setTimeout(() => run.finish(), maxMs + GRACE_MS)
    for (const connection of targets.get(port)) connection.start(run)
  },
  close({ port }) {
    for (const connection of targets.get(port) ?? []) connection.close()
    targets.delete(port)
    process.send({})
  },
}

process.on('message', (order) => orders[order.type](order))
process.once('disconnect', () => process.exit())
process.send({})
