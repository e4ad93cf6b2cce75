// The pump of a delivery: runs it at once or when an interval is over, and never twice at the same time.
import type { Clock, Timer } from '../clock.ts'

export class Pump {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #run: () => Promise<void>
  readonly #ended: () => void
  #timer: Timer | undefined
  #running: Promise<void> | undefined

  /** `run` must not reject. `ended` is called after each run. */
  constructor(clock: Clock, intervalMs: number, run: () => Promise<void>, ended: () => void) {
    this.#clock = clock
    this.#intervalMs = intervalMs
    this.#run = run
    this.#ended = ended
  }

  /** Resolves when the run that is under way has ended; undefined if there is none. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  start(): void {
    this.stop()
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
      this.#ended()
    })
  }

  arm(): void {
    // It holds the process: one that ends by itself still delivers its last lines.
    this.#timer ??= this.#clock.after(this.#intervalMs, () => this.start(), true)
  }

  /** Starts no run by itself any more, until armed again. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }
}
