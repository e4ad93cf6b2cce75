// The pulse of a trail: each log says at times that it is being written, and a wall clock that was set is told.
import type { Clock, Timer } from '../clock.ts'

/** So that silence means something: a log without a line for longer than this is not being written. */
const heartbeatMs = 60_000
const lookMs = 1000
/** What a wall clock that is steered gains or loses between two looks is far less. */
const leastStepMs = 1000

export class Pulse {
  readonly #clock: Clock
  readonly #beat: () => void
  readonly #stepped: (ms: number) => void
  /** Wall time less monotonic time at the last look, in ms. */
  #offset: number
  #sinceBeat = 0
  #timer: Timer | undefined

  /** `beat` is called each minute, `stepped` with how far the wall clock moved against the monotonic one. Neither may throw. */
  constructor(clock: Clock, beat: () => void, stepped: (ms: number) => void) {
    this.#clock = clock
    this.#beat = beat
    this.#stepped = stepped
    this.#offset = this.#measure()
    this.#arm()
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #arm(): void {
    this.#timer = this.#clock.after(lookMs, () => {
      this.#arm()
      this.#look()
    })
  }

  #look(): void {
    const offset = this.#measure()
    const step = Math.round(offset - this.#offset)
    if (Math.abs(step) >= leastStepMs) {
      this.#offset = offset
      this.#stepped(step)
    }
    this.#sinceBeat += lookMs
    if (this.#sinceBeat < heartbeatMs) return
    this.#sinceBeat = 0
    // Small drifts add up, and are no step.
    this.#offset = offset
    this.#beat()
  }

  #measure(): number {
    return this.#clock.now() - this.#clock.monoUs() / 1000
  }
}
