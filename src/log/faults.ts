// When a job of the writer fails: told once, and done again after a growing pause.
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'

const firstPauseMs = 250
const lastPauseMs = 5_000

export interface FaultsOptions {
  /** What the log is told to the logger as. */
  readonly name: string
  readonly clock: Clock
  readonly logger: Logger
  /** Called with each failure, and with undefined once what failed last is done. */
  readonly changed: (fault: string | undefined) => void
}

export class Faults<Job> {
  /** What failed last: all is well again when that is done, not when something else is. */
  private failed: Job | undefined
  private reason: string | undefined
  private failures = 0
  private timer: Timer | undefined
  private pauseMs = firstPauseMs

  constructor(private readonly options: FaultsOptions) {}

  /** Why it failed last; undefined if all is well. */
  get fault(): string | undefined {
    return this.reason
  }

  /** Whether the pause after a failure is not over. */
  get pausing(): boolean {
    return this.timer !== undefined
  }

  add(error: unknown, job: Job, again: () => void, hold: boolean): void {
    const { name: log, clock, logger, changed } = this.options
    const reason = reasonOf(error)
    if (this.failed === undefined) logger.error({ log, error: reason }, 'the log cannot be written, and its lines wait')
    this.failed = job
    this.reason = reason
    this.failures++
    const resume = () => {
      this.timer = undefined
      again()
    }
    this.timer = clock.after(this.pauseMs, resume, hold)
    this.pauseMs = Math.min(2 * this.pauseMs, lastPauseMs)
    changed(reason)
  }

  done(job: Job): void {
    if (this.failed === undefined || this.failed !== job) return
    const { name: log, logger, changed } = this.options
    logger.warn({ log, failures: this.failures }, 'the log can be written again')
    this.failed = undefined
    this.reason = undefined
    this.failures = 0
    this.pauseMs = firstPauseMs
    changed(undefined)
  }

  cancelPause(): void {
    this.timer?.cancel()
    this.timer = undefined
  }
}
