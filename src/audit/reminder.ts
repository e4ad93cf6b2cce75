// The reminder: tries again to tell what could not be told, also while nothing happens.
import type { Clock, Timer } from '../clock.ts'

/** How soon. A log that could not be written says so within this time of being well again. */
const everyMs = 1000

export class Reminder {
  readonly #clock: Clock
  readonly #tell: () => boolean
  #timer: Timer | undefined
  #stopped = false

  /** `tell` returns whether something is left to tell. */
  constructor(clock: Clock, tell: () => boolean) {
    this.#clock = clock
    this.#tell = tell
  }

  /** There is something to tell. It does not hold the process: `close` tells what is left. */
  arm(): void {
    if (this.#timer !== undefined || this.#stopped) return
    this.#timer = this.#clock.after(everyMs, () => {
      this.#timer = undefined
      if (this.#tell()) this.arm()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }
}
