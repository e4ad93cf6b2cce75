// The system's clock, which knows how many of its timers wait.
import { type Clock, systemClock } from '../../src/clock.ts'

export interface CountingClock extends Clock {
  /** How many timers wait. */
  readonly timers: number
}

export function countingClock(): CountingClock {
  let timers = 0
  return {
    now: () => systemClock.now(),
    monoUs: () => systemClock.monoUs(),
    after(ms, fn, hold) {
      let waits = true
      const over = (): void => {
        if (waits) timers--
        waits = false
      }
      timers++
      const timer = systemClock.after(
        ms,
        () => {
          over()
          fn()
        },
        hold,
      )
      return {
        cancel() {
          over()
          timer.cancel()
        },
      }
    },
    get timers() {
      return timers
    },
  }
}
