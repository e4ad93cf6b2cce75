// Deletes what need not be kept any more: whole segments, the oldest first.
import { type Clock, type Timer, within } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { LogName } from '../sink.ts'
import type { RetentionPolicy } from './options.ts'
import { type Deletion, nextDeletion } from './retention-order.ts'
import { deleteSegment } from './segments.ts'
import { agesCountFrom } from './steady-time.ts'
import type { LogWriter } from './writer.ts'

/** When a deletion that could not be made is tried again. */
const retryMs = 1000
/** How often the age of segments is looked at. */
const lookMs = 3_600_000
/** How long a deletion waits for its record to be signed. On a full disk the record cannot be written before something goes. */
const recordMs = 10_000

export interface RetentionOptions {
  readonly policy: RetentionPolicy
  /** Budget of all logs. What is written while a deletion waits for its record comes on top. */
  readonly maxBytes: number
  readonly clock: Clock
  /** The time by which the logs date what they write. */
  readonly now: () => number
  readonly logger: Logger
  /** The logs that a hold keeps, as of now. */
  readonly held: () => Promise<ReadonlySet<LogName>>
  /** The index below which every sink has its lines. */
  readonly delivered: (log: LogName) => Promise<number>
  /** Resolves once every sink knows for good that the lines up to `through` will be gone. */
  readonly beforeDelete: (log: LogName, through: number) => Promise<void>
}

/**
 * The `audit.pruned` of segments is signed before they are deleted, so that at any time each missing line has a record.
 * A crash in between leaves a record of lines that are still there, and the next start records and deletes them again.
 */
export class Retention {
  /** In the order in which they give up segments. */
  private logs: readonly LogWriter[] = []
  private running: Promise<void> | undefined
  private retry: Timer | undefined
  private hourly: Timer | undefined
  private stopped = false
  private told = false
  /** By log: the first line of the last segment that the last record told of. */
  private readonly recorded = new Map<LogName, number>()
  /** Before this time nothing is too old. Written by start and settle. */
  private agesFrom = Infinity

  constructor(private readonly options: RetentionOptions) {}

  /**
   * Begins with these logs. Never deletes a segment that is being written. The first look is later: records can be made only once
   * the caller knows that the logs are open.
   */
  start(logs: readonly LogWriter[]): void {
    this.logs = logs
    this.agesFrom = agesCountFrom(
      logs.flatMap((log) => log.allSegments()),
      this.options.now(),
    )
    this.later()
    this.eachHour()
  }

  /** Looks whether something is to be deleted. Called after each rotation: between two of them the room that is kept suffices. */
  check(): void {
    if (this.stopped) return
    this.running ??= this.prune().finally(() => {
      this.running = undefined
    })
  }

  /** Looks for somebody who asks for it, and trusts the clock. Resolves when nothing is left to be deleted, or nothing can be now. */
  async settle(): Promise<void> {
    this.agesFrom = -Infinity
    this.check()
    await this.running
  }

  /** From the call on no deletion begins. Resolves behind the one that is under way, whose record the logs sign when they close. */
  async stop(): Promise<void> {
    this.stopped = true
    this.retry?.cancel()
    this.hourly?.cancel()
    await this.running
  }

  private later(): void {
    if (this.stopped) return
    this.retry ??= this.options.clock.after(retryMs, () => {
      this.retry = undefined
      this.check()
    })
  }

  private eachHour(): void {
    this.hourly = this.options.clock.after(lookMs, () => {
      this.check()
      this.eachHour()
    })
  }

  /** The time that ages are told by: no step of the clock has it go ahead, and where the clock was set back it is as young. */
  private get now(): number {
    const { clock, now } = this.options
    const time = now()
    return time < this.agesFrom ? -Infinity : Math.min(time, clock.now())
  }

  private async prune(): Promise<void> {
    const { policy, maxBytes, clock, logger, held } = this.options
    // One for the whole run: what it writes itself, such as the records of deletions, is never too old for it.
    let since: number | undefined
    try {
      while (!this.stopped) {
        const kept = await held()
        if (this.stopped) break
        since ??= this.now
        const now = since
        const logs = this.logs.filter(({ log }) => !kept.has(log))
        const old = logs.filter(
          ({ log, current }) => current.bytes > 0 && current.writtenAt < now - policy[log].maxAgeMs,
        )
        const closing = Promise.all(old.map((log) => log.closeSegment()))
        await within(clock, closing, recordMs, undefined)
        const next = nextDeletion(logs, policy, maxBytes, now)
        if (next === undefined) break
        if (!(await this.drop(next))) return this.later()
      }
      this.told = false
    } catch (error) {
      if (this.stopped) return
      if (!this.told) logger.error({ error: reasonOf(error) }, 'the oldest segment cannot be deleted')
      this.told = true
      this.later()
    }
  }

  /**
   * Deletes the oldest segments, as many as are too many; false if not now. One record tells of all: on a slow disk the wait
   * for each would take longer than a segment takes to fill. Their hashes stay: they were made durable when each was closed.
   */
  private async drop({ log, count: wanted, reason }: Deletion<LogWriter>): Promise<boolean> {
    const { clock, held, delivered, beforeDelete } = this.options
    const { closed } = log
    const passed = await delivered(log.log)
    // Somebody has deleted some meanwhile.
    if (closed.length < wanted) return true
    const known = closed.findIndex(({ first }) => first === this.recorded.get(log.log)) + 1
    const count = known === 0 ? wanted : known
    if (known === 0) {
      const bytes = closed.slice(0, count).reduce((sum, one) => sum + one.bytes, 0)
      const first = closed[0]!.first
      const last = (closed[count]?.first ?? log.current.first) - 1
      const undelivered = last + 1 - Math.min(last + 1, Math.max(first, passed))
      const index = log.record('audit.pruned', { first, last, bytes, reason, undelivered })
      // Nobody has made a line of it: the trail is closed, or the log takes no lines now.
      if (index === undefined) return false
      this.recorded.set(log.log, closed[count - 1]!.first)
      const signed = log.signed(index).then(() => true)
      if (!(await within(clock, signed, recordMs, false)) && this.stopped) return false
    }
    const last = (closed[count]?.first ?? log.current.first) - 1
    await within(clock, beforeDelete(log.log, last), recordMs, undefined)
    if ((await held()).has(log.log)) return false
    const through = this.recorded.get(log.log)!
    while (closed[0] !== undefined && closed[0].first <= through) {
      const segment = closed.shift()!
      try {
        await deleteSegment(segment)
      } catch (error) {
        closed.unshift(segment)
        throw error
      }
    }
    return true
  }
}
