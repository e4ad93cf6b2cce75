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

type State = 'ok' | 'unsigned' | 'failing'

export class LogHealth {
  private readonly failing = new Set<LogName>()
  /** The logs whose checkpoints the disk does not take, and the key while it does not sign. */
  private readonly unsigned = new Set<LogName | 'key'>()
  private state: State = 'ok'
  /** Of the outage of lines that lasts. */
  private failures = 0
  private since = ''
  private lastError = ''
  private unsignedError = ''

  constructor(private readonly options: LogHealthOptions) {}

  /**
   * A job of a log has failed, or all is well with it again. An outage is told when it begins, in a line that waits in memory as
   * the others do, and when all logs are well; logs that share a disk have one.
   */
  readonly wrote = (log: LogName, fault: string | undefined): void => {
    const { failing } = this
    if (fault === undefined) failing.delete(log)
    else {
      if (failing.size === 0) this.since = new Date(this.options.clock.now()).toISOString()
      failing.add(log)
      this.failures++
      this.lastError = fault
    }
    this.settle()
  }

  /** The key has not signed, or does again. */
  readonly signed = (fault: string | undefined): void => {
    this.covered('key', fault, { key: this.options.name }, 'signed')
  }

  /** The disk has not taken a checkpoint of a log, or does again. */
  readonly published = (log: LogName, fault: string | undefined): void => {
    this.covered(log, fault, { log: `${this.options.name}/${log}` }, 'published')
  }

  /** Each cause is told to the logger. */
  private covered(cause: LogName | 'key', fault: string | undefined, facts: object, what: string): void {
    const { unsigned } = this
    const { logger } = this.options
    if ((fault !== undefined) === unsigned.has(cause)) return
    if (fault === undefined) {
      unsigned.delete(cause)
      logger.warn(facts, `checkpoints can be ${what} again`)
    } else {
      unsigned.add(cause)
      this.unsignedError = fault
      logger.error({ ...facts, error: fault }, `checkpoints cannot be ${what}, and lines go on without`)
    }
    this.settle()
  }

  /** Tells that all is worse or better than before, by the worst that is. */
  private settle(): void {
    const { failing, unsigned, state: from } = this
    const to: State = failing.size > 0 ? 'failing' : unsigned.size > 0 ? 'unsigned' : 'ok'
    if (from === to) return
    this.state = to
    const { failures, since, lastError, unsignedError } = this
    const last_error = to === 'unsigned' ? unsignedError : lastError
    if (from === 'failing') {
      this.failures = 0
      this.tell(from, to, failures, { since, last_error })
    } else this.tell(from, to, to === 'ok' ? 0 : 1, to === 'ok' ? {} : { last_error })
  }

  private tell(from: State, to: State, failures: number, more: Readonly<Record<string, string>>): void {
    const { writers, notify } = this.options
    const meant = to === 'ok' ? from : to
    const waits = (one: LogWriter): number => (meant === 'unsigned' ? one.nextIndex - one.signedSize : one.unwritten)
    const waiting = writers.reduce((sum, one) => sum + waits(one), 0)
    notify({
      event: 'audit.sink_changed',
      log: 'control',
      facts: { sink: 'file', from, to, failures, waiting, ...more },
    })
  }
}
