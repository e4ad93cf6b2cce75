// The connections to one backend: each carries one request at a time, so that the record can tell which, and what it waited.
import { z } from 'zod'
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
interface Waiter<L> extends Settle<L> {
  readonly sinceUs: number
  cancelTimer(): void
}

export class Pool<L extends Line> {
  readonly #open: (onClosed: (line: L) => void) => L
  readonly #config: ConnectionsConfig
  readonly #clock: Clock
  /** The last one used is used first: the others can grow cold and close. */
  readonly #idle: L[] = []
  readonly #all = new Set<L>()
  readonly #waiting: Waiter<L>[] = []
  #retired = false

  /** `open` makes a line, which calls back whenever its socket has closed. */
  constructor(open: (onClosed: (line: L) => void) => L, config: ConnectionsConfig, clock: Clock) {
    this.#open = open
    this.#config = config
    this.#clock = clock
  }

  /** Calls `ready` with a line, now or when one comes free, or `fail`; the function it returns gives up waiting. */
  acquire(settle: Settle<L>): () => void {
    const line = this.#idle.pop() ?? (this.#all.size < this.#config.max ? this.#create() : undefined)
    if (line !== undefined) {
      settle.ready(line, 0)
      return () => undefined
    }
    if (this.#waiting.length >= this.#config.queue) {
      settle.fail('queue-full')
      return () => undefined
    }
    return this.#wait(settle)
  }

  /** Gives a line back that has done its request. */
  release(line: L): void {
    if (!this.#all.has(line)) return
    if (this.#retired || !line.isOpen) {
      this.discard(line)
      return
    }
    const next = this.#waiting.shift()
    if (next === undefined) this.#idle.push(line)
    else this.#hand(next, line)
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
      waiter.fail('internal')
    }
    await Promise.all([...this.#all].map((line) => line.destroy()))
    this.#all.clear()
    this.#idle.length = 0
  }

  #wait(settle: Settle<L>): () => void {
    const timer = this.#clock.after(this.#config.queueTimeoutMs, () => {
      leave()
      settle.fail('queue-timeout')
    })
    const waiter: Waiter<L> = { ...settle, sinceUs: this.#clock.monoUs(), cancelTimer: () => timer.cancel() }
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
    waiter.ready(line, this.#clock.monoUs() - waiter.sinceUs)
  }

  #create(): L {
    const line = this.#open((closed) => {
      // An idle one that the backend or its own timeout has closed has nothing left to offer.
      if (this.#idle.includes(closed)) this.discard(closed)
    })
    this.#all.add(line)
    return line
  }
}
