// A lane: one log store as one sink has it, with the cursor that says how far it got there.
import { type Cursor, type LineFeed, type LogName, logNames, type SignedCheckpoint } from '../sink.ts'

/** What an auditor misses most goes first. */
export const lanesOrder: readonly LogName[] = [...logNames].reverse()

export class Lane {
  readonly #asked: Partial<Record<LogName, { at: number; from: number; times: number }>> = {}
  readonly #unwanted: ReadonlySet<LogName>
  readonly feed: LineFeed
  readonly cursor: Cursor
  /** Keys by which the feed keeps this sink's place in each log. */
  readonly readers: Readonly<Record<LogName, object>> = { traffic: {}, security: {}, control: {} }
  /** Sizes of the checkpoints that the sink has got. Written by the delivery. */
  readonly checked: Record<LogName, number> = { traffic: 0, security: 0, control: 0 }
  /** Logs in which the cursor stays before lines whose loss cannot be told any more. Written by the delivery. */
  readonly stuck = new Set<LogName>()
  /** Where the sink began in each log. */
  readonly #begun: Readonly<Record<LogName, number>>

  /** `wanted`: the logs that can hold lines for the sink. */
  constructor(feed: LineFeed, cursor: Cursor, wanted: ReadonlySet<LogName>) {
    this.feed = feed
    this.cursor = cursor
    this.#unwanted = new Set(logNames.filter((log) => !wanted.has(log)))
    this.#begun = {
      traffic: cursor.next('traffic'),
      security: cursor.next('security'),
      control: cursor.next('control'),
    }
  }

  /** Calls `pass` with each log that holds nothing for the sink, and has lines behind its cursor: they count as delivered. */
  passUnwanted(pass: (log: LogName, next: number) => void): void {
    for (const log of this.#unwanted) if (this.behind(log) > 0) pass(log, this.feed.bounds(log).end)
  }

  /** Lines that the sink has not got. */
  get waiting(): number {
    let sum = 0
    for (const log of logNames) sum += this.behind(log)
    return sum
  }

  behind(log: LogName): number {
    return Math.max(0, this.feed.bounds(log).end - this.cursor.next(log))
  }

  /** The log that goes on next, if any has something that the sink can get now. */
  get due(): LogName | undefined {
    return lanesOrder.find((log) => !this.stuck.has(log) && this.behind(log) > 0)
  }

  get checkpointDue(): boolean {
    return lanesOrder.some((log) => this.checkpoint(log) !== undefined)
  }

  /** How often the sink has asked for this place, or one before it, without having got further in between. */
  asked(log: LogName, at: number, from: number): number {
    const last = this.#asked[log]
    const again = last !== undefined && at <= last.at && from <= last.from
    this.#asked[log] = again ? { at, from: last.from, times: last.times + 1 } : { at, from, times: 0 }
    return this.#asked[log].times
  }

  /** Where a sink goes on that asks for the lines from `at` on. `hashes`: it takes them in the place of lines that are gone. */
  async placeOf(log: LogName, at: number, hashes: boolean): Promise<number> {
    const { first, end } = this.feed.bounds(log)
    if (at >= first) return Math.min(at, end)
    return hashes && (await this.feed.leaves(log, at, at)).length > 0 ? at : first
  }

  /** The newest checkpoint, if the sink has the lines that it covers and has not got it. One of lines that it does not get says nothing to it. */
  checkpoint(log: LogName): SignedCheckpoint | undefined {
    const newest = this.#unwanted.has(log) ? undefined : this.feed.checkpoint(log)
    const begun = this.#begun[log]
    if (newest === undefined || newest.size <= this.checked[log] || newest.size < begun) return undefined
    // The line by which a key before the first one here has handed over is not here, and nor is that key.
    if (newest.size === begun && newest.edgeBefore !== undefined) return undefined
    if (newest.size > this.cursor.next(log)) return undefined
    return newest.handed === undefined
      ? newest
      : { ...newest, handed: newest.handed.filter(({ size }) => size > begun) }
  }
}
