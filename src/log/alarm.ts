// A flag that is raised some time after the first cause for it.
import type { Clock, Timer } from '../clock.ts'

export class Alarm {
  /** Written by the timer, raise and clear. */
  due = false
  private timer: Timer | undefined

  constructor(
    private readonly clock: Clock,
    private readonly ms: number,
    private readonly onDue: () => void,
    private readonly hold = false,
  ) {}

  /** Is due `ms` after the first of these calls. */
  arm(): void {
    this.timer ??= this.clock.after(this.ms, this.ring, this.hold)
  }

  raise(): void {
    this.due = true
  }

  clear(): void {
    this.due = false
    this.timer?.cancel()
    this.timer = undefined
  }

  private readonly ring = () => {
    this.timer = undefined
    this.due = true
    this.onDue()
  }
}
