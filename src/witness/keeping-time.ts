// The time by which a witness tells how old its files are.
import type { Clock } from '../clock.ts'
import { steadyTime } from '../log/steady-time.ts'

export class KeepingTime {
  private readonly steady: () => number
  /** How far the wall clock was behind at most. Written by now. */
  private backMs = 0

  constructor(private readonly clock: Clock) {
    this.steady = steadyTime(clock)
  }

  /** Wall time of the start, and what has passed since. To be asked for at each write: so no file is dated by a clock that it has not seen. */
  now(): number {
    const time = this.steady()
    this.backMs = Math.max(this.backMs, time - this.clock.now())
    return time
  }

  /** By this time no file that was written since the start is older than it is, whatever the wall clock said when it was. */
  get ofFiles(): number {
    return this.now() - this.backMs
  }
}
