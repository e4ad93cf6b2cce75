// One timer that is moved for each phase of a connection's life: to move it costs nothing, which a timer for each would not.
import type { Clock, Timer } from '../clock.ts'

export class Deadline {
  readonly #clock: Clock
  #timer: Timer | undefined
  #firesUs = 0
  #dueUs = 0
  #onDue: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `onDue` once, in `ms`, in place of what was to be called before. */
  set(ms: number, onDue: () => void): void {
    this.#onDue = onDue
    this.#dueUs = this.#clock.monoUs() + ms * 1000
    // A timer that fires sooner looks again then.
    if (this.#timer !== undefined && this.#firesUs <= this.#dueUs) return
    this.#timer?.cancel()
    this.#arm(ms)
  }

  /** Calls nothing. */
  clear(): void {
    this.#onDue = undefined
  }

  /** Calls nothing any more, and leaves no timer behind. */
  end(): void {
    this.#onDue = undefined
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(ms: number): void {
    this.#firesUs = this.#clock.monoUs() + ms * 1000
    this.#timer = this.#clock.after(ms, () => this.#fired())
  }

  #fired(): void {
    this.#timer = undefined
    const onDue = this.#onDue
    if (onDue === undefined) return
    // A timer may fire a little early.
    const leftMs = Math.ceil((this.#dueUs - this.#clock.monoUs()) / 1000)
    if (leftMs > 0) return this.#arm(leftMs)
    this.#onDue = undefined
    onDue()
  }
}
