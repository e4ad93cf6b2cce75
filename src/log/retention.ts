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
 * The `audit.pruned` of a segment is signed before the segment is deleted, so that at any time each missing line has a record.
 * A crash in between leaves a record of lines that are still there, and the next start records and deletes them again.
 */
export class Retention {
  /** In the order in which they give up segments. */
  private logs: readonly LogWriter[] = []
  private running: Promise<void> | undefined
  private timer: Timer | undefined
  private stopped = false
  private told = false
  /** Path of the segment whose record was made last. */
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

  /** Whether it is, or would be once the segments that are being written are full. */
  private exceeded(): boolean {
    return this.logs.reduce((sum, one) => sum + one.bytesWhenFull, 0) > this.maxBytes
  }

  /** Deletes the oldest segment; false if not now. Its hashes stay: they were made durable when it was closed. */
  private async drop(log: LogWriter): Promise<boolean> {
    const { first, path, bytes } = log.closed[0]!
    if (this.recorded !== path) {
      const before = log.nextIndex
      log.tell('audit.pruned', { first, last: (log.closed[1]?.first ?? log.currentFirst) - 1, bytes })
      // Nobody has made a line of it: the trail is closed, or the log takes no lines now.
      if (log.nextIndex === before) return false
      this.recorded = path
      const signed = log.signed(log.nextIndex - 1).then(() => true)
      if (!(await within(this.clock, signed, recordMs, false)) && this.stopped) return false
    }
    await orMissing(unlink(path), undefined)
    log.closed.shift()
    return true
  }
}
