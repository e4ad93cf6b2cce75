// The connections to one backend: each carries one request at a time, so that the record can tell which, and what it waited.
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { Patience } from './idle.ts'

export const connectionsSchema = z.strictObject({
  /** Most connections to one backend. Default 256. */
  max: z.int().min(1).max(65_535).default(256),
  /** How many requests may wait for one of them. Default 1,024. */
  queue: z.int().min(0).max(1_000_000).default(1024),
  /** How long one may wait, in ms. Default 5,000. */
  queueTimeoutMs: z.int().min(1).max(600_000).default(5000),
  /** How long an idle connection stays open, in ms; a shorter hint of the backend is kept to. Default 4,000. */
  keepAliveMs: z.int().min(1).max(600_000).default(4000),
  /** How many requests a connection carries before it is closed. Default unlimited. */
  maxRequests: z.int().min(1).max(1_000_000_000).optional(),
  /**
   * How old a connection becomes, in ms: after that it is not used again, so that changes of DNS are followed. Each one's
   * limit is up to a tenth shorter, for they should not all be made anew in one moment. Default 300,000.
   */
  maxAgeMs: z.int().min(1).max(86_400_000).default(300_000),
})
export type ConnectionsConfig = z.output<typeof connectionsSchema>

/** One connection, as the pool sees it. */
export interface Line {
  /** Whether a socket stands: what has none when it is given back is of no use. */
  readonly isOpen: boolean
  /** Closes it at once, with what it carries. */
  destroy(): Promise<void>
}

type Settle<L> = {
  ready(line: L, queueUs: number): void
  fail(result: 'queue-full' | 'queue-timeout' | 'internal'): void
}
interface Waiter<L> {
  readonly settle: Settle<L>
  readonly sinceUs: number
  cancelTimer(): void
}

/** What the pool knows of a line. */
interface Place {
  /** When it is too old, on the monotonic clock. */
  readonly endUs: number
  requests: number
  /** When it was given back last, and until when it may be used again. */
  idleSinceUs: number
  idleUntilUs: number
}

/** What is asked of a line: `young` is one on which nothing can be expected to be lost, for what is not sent twice. */
type Wish = 'any' | 'young'

export class Pool<L extends Line> {
  readonly #open: (onClosed: (line: L, byBackend?: boolean) => void) => L
  readonly #config: ConnectionsConfig
  readonly #clock: Clock
  /** The last one used is used first: the others can grow cold and close. */
  readonly #idle: L[] = []
  readonly #all = new Map<L, Place>()
  readonly #patience = new Patience()
  /** Lines so far. */
  #made = 0
  readonly #waiting: Waiter<L>[] = []
  #retired = false

  /** `open` makes a line, which calls back whenever its socket has closed, and tells whether the backend did that. */
  constructor(open: (onClosed: (line: L, byBackend?: boolean) => void) => L, config: ConnectionsConfig, clock: Clock) {
    this.#open = open
    this.#config = config
    this.#clock = clock
  }

  /** Calls `ready` with a line, now or when one comes free, or `fail`; the function it returns gives up waiting. */
  acquire(settle: Settle<L>, wish: Wish = 'any'): () => void {
    const line = this.#idleOne(wish) ?? (this.#all.size < this.#config.max ? this.#create() : undefined)
    if (line !== undefined) {
      settle.ready(line, 0)
      return nothing
    }
    if (this.#waiting.length >= this.#config.queue) {
      settle.fail('queue-full')
      return nothing
    }
    return this.#wait(settle)
  }

  /** Gives a line back that has done its request. It may be idle for so long and be used again. */
  release(line: L, idleMs = this.#config.keepAliveMs): void {
    const place = this.#all.get(line)
    if (place === undefined) return
    const nowUs = this.#clock.monoUs()
    place.idleSinceUs = nowUs
    place.idleUntilUs = Math.min(nowUs + idleMs * 1000, place.endUs)
    const spent = ++place.requests >= (this.#config.maxRequests ?? Number.POSITIVE_INFINITY)
    if (this.#retired || !line.isOpen || spent || place.idleUntilUs <= nowUs) this.discard(line)
    else if (this.#waiting.length === 0) this.#idle.push(line)
    // Only once what has given it back is through with it: who is next finds it idle, and not within a response.
    else queueMicrotask(() => this.#pass(line))
  }

  /** Puts a line that is dialled anew in the place of one that was stale. Undefined where the pool is closed. */
  renew(line: L): L | undefined {
    this.stale(line)
    if (!this.#all.delete(line)) return undefined
    const fresh = this.#create()
    void line.destroy()
    return fresh
  }

  /** Tells that the backend had closed a line while it was idle. */
  stale(line: L): void {
    const place = this.#all.get(line)
    if (place === undefined) return
    const nowUs = this.#clock.monoUs()
    this.#patience.closed(nowUs - place.idleSinceUs, nowUs)
  }

  /** Closes a line at once, with what it carries. */
  discard(line: L): void {
    if (!this.#all.delete(line)) return
    const place = this.#idle.indexOf(line)
    if (place !== -1) this.#idle.splice(place, 1)
    void line.destroy()
    if (this.#waiting.length > 0 && this.#all.size < this.#config.max)
      this.#hand(this.#waiting.shift()!, this.#create())
  }

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  /** Closes the idle ones; those in use close when they are given back. */
  retire(): void {
    this.#retired = true
    for (const line of [...this.#idle]) this.discard(line)
  }

  /** Closes every line, also those in use, and fails who waits for one. */
  async close(): Promise<void> {
    this.#retired = true
    for (const waiter of this.#waiting.splice(0)) {
      waiter.cancelTimer()
      waiter.settle.fail('internal')
    }
    await Promise.all([...this.#all.keys()].map((line) => line.destroy()))
    this.#all.clear()
    this.#idle.length = 0
  }

  #wait(settle: Settle<L>): () => void {
    const timer = this.#clock.after(this.#config.queueTimeoutMs, () => {
      leave()
      settle.fail('queue-timeout')
    })
    const waiter: Waiter<L> = { settle, sinceUs: this.#clock.monoUs(), cancelTimer: () => timer.cancel() }
    const leave = (): void => {
      timer.cancel()
      const place = this.#waiting.indexOf(waiter)
      if (place !== -1) this.#waiting.splice(place, 1)
    }
    this.#waiting.push(waiter)
    return leave
  }

  #hand(waiter: Waiter<L>, line: L): void {
    waiter.cancelTimer()
    waiter.settle.ready(line, this.#clock.monoUs() - waiter.sinceUs)
  }

  #pass(line: L): void {
    if (!this.#all.has(line)) return
    if (this.#retired || !line.isOpen) this.discard(line)
    else if (this.#waiting.length === 0) this.#idle.push(line)
    else this.#hand(this.#waiting.shift()!, line)
  }

  // Those that may not be used any more are closed on the way; the last one used is the youngest.
  #idleOne(wish: Wish): L | undefined {
    const nowUs = this.#clock.monoUs()
    for (let line = this.#idle.pop(); line !== undefined; line = this.#idle.pop()) {
      const { idleSinceUs, idleUntilUs } = this.#all.get(line)!
      if (nowUs > idleUntilUs) {
        this.discard(line)
        continue
      }
      if (wish === 'any' || nowUs - idleSinceUs <= this.#patience.youngUs(nowUs)) return line
      this.#idle.push(line)
      if (this.#all.size >= this.#config.max) this.discard(this.#idle[0]!)
      return undefined
    }
    return undefined
  }

  #create(): L {
    const line = this.#open((closed, byBackend = false) => {
      // An idle one that the backend or its own timeout has closed has nothing left to offer.
      if (!this.#idle.includes(closed)) return
      if (byBackend) this.stale(closed)
      this.discard(closed)
    })
    const endUs = ageLimitUs(this.#config.maxAgeMs, this.#clock.monoUs(), this.#made++)
    this.#all.set(line, { endUs, requests: 0, idleSinceUs: 0, idleUntilUs: 0 })
    return line
  }
}

const nothing = (): void => undefined

/** When a connection that is made now, after so many others, is too old. */
export function ageLimitUs(maxAgeMs: number, nowUs: number, made: number): number {
  const age = maxAgeMs * 1000
  // Steps by the golden ratio lie evenly, however many there are.
  return nowUs + age - Math.trunc((age / 10) * ((made * 0.618_034) % 1))
}
