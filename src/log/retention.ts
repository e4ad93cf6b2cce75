// Keeps the folder of an instance within its budget by deleting whole segments, the oldest first.
import { unlink } from 'node:fs/promises'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import { orMissing } from './segments.ts'
import type { LogWriter } from './writer.ts'

export class Retention {
  /** In the order in which they give up segments. */
  private logs: readonly LogWriter[] = []
  private running: Promise<void> | undefined
  private stopped = false
  private told = false

  constructor(
    private readonly maxBytes: number,
    private readonly logger: Logger,
  ) {}

  /** Begins with these logs. A log gives up its segments before the next one does; never the one that is being written. */
  start(logs: readonly LogWriter[]): void {
    this.logs = logs
    this.check()
  }

  /** Looks whether the budget is exceeded. Called after each rotation: between two of them the room that is kept suffices. */
  check(): void {
    if (this.stopped) return
    this.running ??= this.prune().finally(() => {
      this.running = undefined
    })
  }

  async stop(): Promise<void> {
    this.stopped = true
    await this.running
  }

  private async prune(): Promise<void> {
    try {
      while (!this.stopped && this.exceeded()) {
        const log = this.logs.find((one) => one.closed.length > 0)
        if (log === undefined) return
        await this.drop(log)
      }
      this.told = false
    } catch (error) {
      if (!this.told) this.logger.error({ error: reasonOf(error) }, 'the oldest segment cannot be deleted')
      this.told = true
    }
  }

  /** Whether it is, or would be once the segments that are being written are full. */
  private exceeded(): boolean {
    return this.logs.reduce((sum, one) => sum + one.bytesWhenFull, 0) > this.maxBytes
  }

  /** Deletes the oldest segment. Its hashes stay: they were made durable when it was closed. */
  private async drop(log: LogWriter): Promise<void> {
    const { first, path, bytes } = log.closed[0]!
    await orMissing(unlink(path), undefined)
    log.closed.shift()
    log.tell('audit.pruned', { first, last: (log.closed[0]?.first ?? log.currentFirst) - 1, bytes })
  }
}
