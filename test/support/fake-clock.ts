// A clock that stands still until a test moves it.
import type { Clock, Timer } from '../../src/clock.ts'

export interface FakeClock extends Clock {
  /** Moves time on by `ms` and calls the timers that come due, in order of their time. */
  advance(ms: number): void
  /** Steps the wall clock alone, as an administrator or NTP does. */
  step(ms: number): void
  /** How many timers wait. */
  readonly timers: number
}

/** Starts at 2026-01-01T00:00:00.000Z unless told otherwise. */
export function fakeClock(start = Date.UTC(2026, 0, 1)): FakeClock {
  let elapsed = 0
  let wall = start
  const waiting = new Set<{ at: number; fn: () => void }>()
  return {
    now: () => wall,
    monoUs: () => elapsed * 1000,
    after(ms, fn): Timer {
      const timer = { at: elapsed + ms, fn }
      waiting.add(timer)
      return { cancel: () => void waiting.delete(timer) }
    },
    advance(ms) {
      const until = elapsed + ms
      for (;;) {
        const [next] = [...waiting].filter((one) => one.at <= until).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        waiting.delete(next)
        wall += Math.max(0, next.at - elapsed)
        elapsed = Math.max(elapsed, next.at)
        next.fn()
      }
      wall += until - elapsed
      elapsed = until
    },
    step(ms) {
      wall += ms
    },
    get timers() {
      return waiting.size
    },
  }
}
