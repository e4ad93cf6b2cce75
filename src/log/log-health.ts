// How the log on disk fares, told as the state of a sink: `failing` while one of the logs cannot be written, `unsigned` while the
// key does not sign, or the disk does not take what it signs.
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
  /** The logs whose checkpoints cannot be published, and the key while it does not sign. */
  private readonly unsigned = new Set<LogName | 'key'>()
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
    this.covered('key', fault, { key: this.options.name }, 'signed')
  }

  /** The disk has not taken a checkpoint of a log, or does again. */
  readonly published = (log: LogName, fault: string | undefined): void => {
    this.covered(log, fault, { log: `${this.options.name}/${log}` }, 'published')
  }

  /** Each cause is told to the logger; one event tells when the first begins, and one when all are over. */
  private covered(cause: LogName | 'key', fault: string | undefined, facts: object, what: string): void {
    const { unsigned } = this
    const { logger } = this.options
    if ((fault !== undefined) === unsigned.has(cause)) return
    if (fault === undefined) {
      unsigned.delete(cause)
      logger.warn(facts, `checkpoints can be ${what} again`)
      if (unsigned.size === 0) this.tell('unsigned', 'ok', 0)
    } else {
      unsigned.add(cause)
      logger.error({ ...facts, error: fault }, `checkpoints cannot be ${what}, and lines go on without`)
      if (unsigned.size === 1) this.tell('ok', 'unsigned', 1, { last_error: fault })
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
