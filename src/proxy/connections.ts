// The connections to one backend: each carries one request at a time, so that the record can tell which, and what it waited.
import { isIP } from 'node:net'
import { buildConnector, Client } from 'undici'
import { z } from 'zod'
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'

export const connectionsSchema = z.strictObject({
  /** Most connections to one backend. Default 256. */
  max: z.int().min(1).max(65_535).default(256),
  /** How many requests may wait for one of them. Default 1,024. */
  queue: z.int().min(0).max(1_000_000).default(1024),
  /** How long one may wait, in ms. Default 5,000. */
  queueTimeoutMs: z.int().min(1).max(600_000).default(5000),
  /** How long an idle connection stays open, in ms; a shorter hint of the backend is kept to. Default 4,000. */
  keepAliveMs: z.int().min(1).max(600_000).default(4000),
})
export type ConnectionsConfig = z.output<typeof connectionsSchema>

export const timeoutsSchema = z.strictObject({
  /** For a connection to be established, in ms. Default 5,000. */
  connectMs: z.int().min(1).max(600_000).default(5000),
  /** From the request to the head of the response, in ms. Default 60,000. */
  headerMs: z.int().min(1).max(3_600_000).default(60_000),
  /** Between two parts of the response's body, in ms. Default 60,000. */
  bodyIdleMs: z.int().min(1).max(3_600_000).default(60_000),
  /** For one attempt, from the pick to the head of the response, in ms; then another one follows. Default off. */
  tryMs: z.int().min(1).max(3_600_000).optional(),
  /** For all attempts of a request together, until the head of the response, in ms. Default off. */
  totalMs: z.int().min(1).max(3_600_000).optional(),
})
export type TimeoutsConfig = z.output<typeof timeoutsSchema>

export interface Connection {
  readonly client: Client
  /** Set while a socket is established, with the time that it took. Written by the client's events. */
  connectUs: number | undefined
  dialledAtUs: number
  /** Whether the present socket has failed: then the end of a response may be none. Written by the socket's events. */
  broken: boolean
  /** Requests that the present socket has carried. */
  requests: number
}

type Settle = {
  ready(connection: Connection, queueUs: number): void
  fail(result: 'queue-full' | 'queue-timeout' | 'internal'): void
}
interface Waiter extends Settle {
  readonly sinceUs: number
  cancelTimer(): void
}

export class Connections {
  readonly #backend: Backend
  readonly #config: ConnectionsConfig
  readonly #timeouts: TimeoutsConfig
  readonly #clock: Clock
  /** The last one used is used first: the others can grow cold and close. */
  readonly #idle: Connection[] = []
  readonly #all = new Set<Connection>()
  readonly #waiting: Waiter[] = []
  #retired = false

  constructor(backend: Backend, config: ConnectionsConfig, timeouts: TimeoutsConfig, clock: Clock) {
    this.#backend = backend
    this.#config = config
    this.#timeouts = timeouts
    this.#clock = clock
  }

  /** Calls `ready` with a connection, now or when one comes free, or `fail`; the function it returns gives up waiting. */
  acquire(settle: Settle): () => void {
    const connection = this.#idle.pop() ?? (this.#all.size < this.#config.max ? this.#create() : undefined)
    if (connection !== undefined) {
      settle.ready(connection, 0)
      return () => undefined
    }
    if (this.#waiting.length >= this.#config.queue) {
      settle.fail('queue-full')
      return () => undefined
    }
    return this.#wait(settle)
  }

  /** Gives a connection back that has done its request. */
  release(connection: Connection): void {
    if (!this.#all.has(connection)) return
    if (this.#retired || connection.connectUs === undefined) {
      this.discard(connection)
      return
    }
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(connection)
    else this.#hand(next, connection)
  }

  /** Closes a connection at once, with what it carries. */
  discard(connection: Connection): void {
    if (!this.#all.delete(connection)) return
    const place = this.#idle.indexOf(connection)
    if (place !== -1) this.#idle.splice(place, 1)
    connection.client.destroy().catch(() => undefined)
    if (this.#waiting.length > 0 && this.#all.size < this.#config.max)
      this.#hand(this.#waiting.shift()!, this.#create())
  }

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  /** Closes the idle ones; those in use close when they are given back. */
  retire(): void {
    this.#retired = true
    for (const connection of [...this.#idle]) this.discard(connection)
  }

  /** Closes every connection, also those in use, and fails who waits for one. */
  async close(): Promise<void> {
    this.#retired = true
    for (const waiter of this.#waiting.splice(0)) {
      waiter.cancelTimer()
      waiter.fail('internal')
    }
    await Promise.all([...this.#all].map((connection) => connection.client.destroy().catch(() => undefined)))
    this.#all.clear()
    this.#idle.length = 0
  }

  #wait(settle: Settle): () => void {
    const timer = this.#clock.after(this.#config.queueTimeoutMs, () => {
      leave()
      settle.fail('queue-timeout')
    })
    const waiter: Waiter = { ...settle, sinceUs: this.#clock.monoUs(), cancelTimer: () => timer.cancel() }
    const leave = (): void => {
      timer.cancel()
      const place = this.#waiting.indexOf(waiter)
      if (place !== -1) this.#waiting.splice(place, 1)
    }
    this.#waiting.push(waiter)
    return leave
  }

  #hand(waiter: Waiter, connection: Connection): void {
    waiter.cancelTimer()
    waiter.ready(connection, this.#clock.monoUs() - waiter.sinceUs)
  }

  #create(): Connection {
    const { connectMs, headerMs, bodyIdleMs } = this.#timeouts
    const dial = buildConnector({ timeout: connectMs })
    // The name to verify is the backend's, whatever Host the client sent; an IP address is no name (RFC 6066 section 3), and
    // is verified as the address that is dialled.
    const { address, serverName } = this.#backend
    const servername = serverName ?? (isIP(address) === 0 ? address : '')
    const client = new Client(this.#backend.url, {
      pipelining: 1,
      keepAliveTimeout: this.#config.keepAliveMs,
      keepAliveMaxTimeout: this.#config.keepAliveMs,
      headersTimeout: headerMs,
      bodyTimeout: bodyIdleMs,
      connect: (options, callback) =>
        dial({ ...options, servername }, (...[error, socket]) => {
          if (error) return callback(error, null)
          connection.broken = false
          socket.on('error', () => {
            connection.broken = true
          })
          callback(null, socket)
        }),
    })
    const dialledAtUs = this.#clock.monoUs()
    const connection: Connection = { client, connectUs: undefined, dialledAtUs, broken: false, requests: 0 }
    this.#all.add(connection)
    client.on('connect', () => {
      connection.connectUs = this.#clock.monoUs() - connection.dialledAtUs
      connection.requests = 0
    })
    client.on('disconnect', () => {
      connection.connectUs = undefined
      connection.dialledAtUs = this.#clock.monoUs()
      // An idle one that the backend or its own timeout has closed has nothing left to offer.
      if (this.#idle.includes(connection)) this.discard(connection)
    })
    return connection
  }
}
