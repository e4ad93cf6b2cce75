// How the log on disk fares, told as the state of a sink: `failing` while one of the logs cannot be written, `unsigned` while the
// key does not sign.
import type { Clock } from '../clock.ts'
import type { Logger } from '../runtime.ts'
import type { LogName, StoreNotice } from '../sink.ts'
import type { LogWriter } from './writer.ts'

export interface LogHealthOptions {
  /** What the logger knows the key as. */
  readonly name: string
  readonly writers: readonly LogWriter[]
  readonly clock: Clock
  readonly logger: Logger
  readonly notify: (notice: StoreNotice) => void
}

export class LogHealth {
  private readonly failing = new Set<LogName>()
  /** Of the outage that lasts. */
  private failures = 0
  private since = ''
  private lastError = ''

  constructor(private readonly options: LogHealthOptions) {}

  /**
   * A job of a log has failed, or all is well with it again. An outage is told when it begins, in a line that waits in memory as
   * the others do, and when all logs are well; logs that share a disk have one.
   */
  readonly wrote = (log: LogName, fault: string | undefined): void => {
    const { failing } = this
    const lasted = failing.size > 0
    if (fault === undefined) {
      failing.delete(log)
      if (!lasted || failing.size > 0) return
      const { failures, since, lastError } = this
      this.failures = 0
      this.tell('failing', 'ok', failures, { since, last_error: lastError })
    } else {
      failing.add(log)
      this.failures++
      this.lastError = fault
      if (lasted) return
      this.since = new Date(this.options.clock.now()).toISOString()
      this.tell('ok', 'failing', this.failures, { last_error: fault })
    }
  }

  /** The key has not signed, or does again. */
  readonly signed = (fault: string | undefined): void => {
    const { name: key, logger } = this.options
    if (fault === undefined) {
      logger.warn({ key }, 'checkpoints can be signed again')
      this.tell('unsigned', 'ok', 0)
    } else {
      logger.error({ key, error: fault }, 'checkpoints cannot be signed, and lines go on without')
      this.tell('ok', 'unsigned', 1, { last_error: fault })
    }
  }

  private tell(from: string, to: string, failures: number, more: Readonly<Record<string, string>> = {}): void {
    const { writers, notify } = this.options
    const waits = (one: LogWriter): number =>
      [from, to].includes('unsigned') ? one.nextIndex - one.signedSize : one.unwritten
    const waiting = writers.reduce((sum, one) => sum + waits(one), 0)
    notify({
      event: 'audit.sink_changed',
      log: 'control',
      facts: { sink: 'file', from, to, failures, waiting, ...more },
    })
  }
}
