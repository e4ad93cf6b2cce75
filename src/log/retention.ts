// Keeps the lines of an instance within their budget by deleting whole segments, the oldest first.
import { unlink } from 'node:fs/promises'
import { type Clock, type Timer, within } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import { orMissing } from './segments.ts'
import type { LogWriter } from './writer.ts'

/** When a deletion that could not be made is tried again. */
const retryMs = 1000
/** How long a deletion waits for its record to be signed. On a full disk the record cannot be written before something goes. */
const recordMs = 10_000

/**
 * The `audit.pruned` of segments is signed before they are deleted, so that at any time each missing line has a record.
 * A crash in between leaves a record of lines that are still there, and the next start records and deletes them again.
 */
export class Retention {
  /** In the order in which they give up segments. */
  private logs: readonly LogWriter[] = []
  private running: Promise<void> | undefined
  private timer: Timer | undefined
  private stopped = false
  private told = false
  /** Path of the last segment that the last record told of. */
  private recorded = ''

  constructor(
    /** What is written while a deletion waits for its record comes on top. */
    private readonly maxBytes: number,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  /**
   * Begins with these logs. A log gives up its segments before the next one does; never the one that is being written. The
   * first look is later: records can be made only once the caller knows that the logs are open.
   */
  start(logs: readonly LogWriter[]): void {
    this.logs = logs
    if (this.exceeded()) this.later()
  }

  /** Looks whether the budget is exceeded. Called after each rotation: between two of them the room that is kept suffices. */
  check(): void {
    if (this.stopped) return
    this.running ??= this.prune().finally(() => {
      this.running = undefined
    })
  }

  /** From the call on no deletion begins. Resolves behind the one that is under way, whose record the logs sign when they close. */
  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    await this.running
  }

  private later(): void {
    if (this.stopped) return
    this.timer ??= this.clock.after(retryMs, () => {
      this.timer = undefined
      this.check()
    })
  }

  private async prune(): Promise<void> {
    try {
      while (!this.stopped && this.exceeded()) {
        const log = this.logs.find((one) => one.closed.length > 0)
        if (log === undefined) return
        if (!(await this.drop(log))) return this.later()
      }
      this.told = false
    } catch (error) {
      if (this.stopped) return
      if (!this.told) this.logger.error({ error: reasonOf(error) }, 'the oldest segment cannot be deleted')
      this.told = true
      this.later()
    }
  }

  private exceeded(): boolean {
    return this.excess() > 0
  }

  /** Bytes beyond the budget, as if the segments that are being written were full. */
  private excess(): number {
    return this.logs.reduce((sum, one) => sum + one.bytesWhenFull, 0) - this.maxBytes
  }

  /**
   * Deletes the oldest segments, as many as are too many; false if not now. One record tells of all: on a slow disk the wait
   * for each would take longer than a segment takes to fill. Their hashes stay: they were made durable when each was closed.
   */
  private async drop(log: LogWriter): Promise<boolean> {
    let count = log.closed.findIndex(({ path }) => path === this.recorded) + 1
    if (count === 0) {
      let bytes = 0
      for (const excess = this.excess(); count < log.closed.length && bytes < excess; count++)
        bytes += log.closed[count]!.bytes
      const before = log.nextIndex
      const last = (log.closed[count]?.first ?? log.currentFirst) - 1
      log.tell('audit.pruned', { first: log.closed[0]!.first, last, bytes })
      // Nobody has made a line of it: the trail is closed, or the log takes no lines now.
      if (log.nextIndex === before) return false
      this.recorded = log.closed[count - 1]!.path
      const signed = log.signed(log.nextIndex - 1).then(() => true)
      if (!(await within(this.clock, signed, recordMs, false)) && this.stopped) return false
    }
    for (; count > 0; count--) {
      await orMissing(unlink(log.closed[0]!.path), undefined)
      log.closed.shift()
    }
    return true
  }
}
