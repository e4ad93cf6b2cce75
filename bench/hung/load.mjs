// The load: so many requests a second, whether those before are answered or not. A latency counts from when its request was due.
import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from '../lib/connection.mjs'

const LOOK_MS = 2
const GRACE_MS = 5000

/** One request, as a connection asks for it. */
class Due {
  #at
  #over
  #taken = false

  constructor(at, over) {
    this.#at = at
    this.#over = over
  }

  take() {
    const first = !this.#taken
    this.#taken = true
    return first
  }

  settle(_, fault) {
    this.#over(performance.now() - this.#at, fault)
  }
}

/** Connections to a balancer, kept from one run to the next. */
class Target {
  #idle
  #count
  #waiting = []
  #latencies = []
  #errors = {}

  constructor(port, count) {
    this.#count = count
    this.#idle = Array.from({ length: count }, () => new Connection(port))
  }

  async run(total, perSecond) {
    this.#latencies = []
    this.#errors = {}
    const start = performance.now()
    const atOf = (n) => start + (n / perSecond) * 1000
    for (let n = 0; n < total; await sleep(LOOK_MS)) {
      for (const now = performance.now(); n < total && atOf(n) <= now; n++) this.#ask(atOf(n))
    }
    const end = performance.now() + GRACE_MS
    while (this.#idle.length < this.#count && performance.now() < end) await sleep(LOOK_MS)
    const open = this.#count - this.#idle.length
    if (open > 0) this.#errors['no answer'] = open
    return { latencies: this.#latencies, errors: this.#errors }
  }

  #ask(at) {
    const connection = this.#idle.pop()
    if (connection === undefined) this.#waiting.push(at)
    else this.#send(connection, at)
  }

  #send(connection, at) {
    const over = (elapsed, fault) => {
      if (fault === undefined) this.#latencies.push(elapsed)
      else this.#errors[fault] = (this.#errors[fault] ?? 0) + 1
      const next = this.#waiting.shift()
      if (next === undefined) this.#idle.push(connection)
      else this.#send(connection, next)
    }
    connection.start(new Due(at, over))
  }
}

const targets = new Map()

process.on('message', async ({ port, connections, perSecond, total }) => {
  if (!targets.has(port)) targets.set(port, new Target(port, connections))
  process.send(await targets.get(port).run(total, perSecond))
})
process.once('disconnect', () => process.exit())
process.send({})
