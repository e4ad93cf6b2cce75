// Runs the jobs of a writer one at a time, and those that fail again after a pause.
import type { Clock } from '../clock.ts'
import type { Logger } from '../runtime.ts'
import { Faults } from './faults.ts'

export type Job = () => Promise<void>

export interface JobsOptions {
  /** What they are told to the logger as. */
  readonly name: string
  readonly clock: Clock
  readonly logger: Logger
  /** What is to be done next; undefined if nothing is. */
  readonly next: () => Job | undefined
  /** Whether a job that failed can be done at once after all. */
  readonly rescue: (error: unknown) => Promise<boolean>
  /** Called with each failure, and with undefined once what failed last is done. */
  readonly changed: (fault: string | undefined) => void
  /** Called when nothing is left to do. */
  readonly idle: () => void
}

export class Jobs {
  /** Whether one runs. */
  running = false
  /** Whether a pause after a failure holds the process. */
  hold = false
  private stopped = false
  private readonly faults: Faults<Job>

  constructor(private readonly options: JobsOptions) {
    this.faults = new Faults(options)
  }

  /** Why a job failed, until it succeeds. */
  get fault(): string | undefined {
    return this.faults.fault
  }

  /** Starts what is due, unless something runs or waits for a pause to pass. */
  readonly kick = (): void => {
    if (this.running || this.stopped || this.faults.pausing) return
    this.running = true
    void this.run()
  }

  /** Ends a pause. */
  hurry(): void {
    this.faults.cancelPause()
    this.kick()
  }

  /** From the call on nothing is begun. */
  stop(): void {
    this.stopped = true
    this.faults.cancelPause()
  }

  private async run(): Promise<void> {
    const { rescue, idle } = this.options
    let job: Job | undefined
    try {
      // No await may come between the last question and the end: a kick in between would be lost.
      for (job = this.next(); job !== undefined; job = this.next()) {
        try {
          await job()
          this.faults.done(job)
        } catch (error) {
          if (!(await rescue(error))) throw error
        }
      }
      this.running = false
      idle()
    } catch (error) {
      this.running = false
      if (!this.stopped) this.faults.add(error, job!, this.kick, this.hold)
    }
    if (this.stopped) idle()
  }

  private next(): Job | undefined {
    return this.stopped ? undefined : this.options.next()
  }
}
