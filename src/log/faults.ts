// When a job of the writer fails: told once, and done again after a growing pause.
import type { Clock, Timer } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'

const firstPauseMs = 250
const lastPauseMs = 5_000

export class Faults<Job> {
  /** What failed last: all is well again when that is done, not when something else is. */
  private fault: { readonly reason: string; readonly job: Job } | undefined
  private timer: Timer | undefined
  private pauseMs = firstPauseMs

  constructor(
    private readonly log: string,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {}

  get any(): boolean {
    return this.fault !== undefined
  }

  /** Whether the pause after a failure is not over. */
  get pausing(): boolean {
    return this.timer !== undefined
  }

  failed(error: unknown, job: Job, again: () => void, hold: boolean): void {
    const reason = reasonOf(error)
    if (!this.any) this.logger.error({ log: this.log, error: reason }, 'the log cannot be written, and its lines wait')
    this.fault = { reason, job }
    const resume = () => {
      this.timer = undefined
      again()
    }
    this.timer = this.clock.after(this.pauseMs, resume, hold)
    this.pauseMs = Math.min(2 * this.pauseMs, lastPauseMs)
  }

  done(job: Job): void {
    if (this.fault === undefined || this.fault.job !== job) return
    this.logger.warn({ log: this.log, error: this.fault.reason }, 'the log can be written again')
    this.fault = undefined
    this.pauseMs = firstPauseMs
  }

  cancelPause(): void {
    this.timer?.cancel()
    this.timer = undefined
  }
}
