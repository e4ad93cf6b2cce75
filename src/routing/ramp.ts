// Slow start: a backend that joins or recovers gets its weight bit by bit.
import { z } from 'zod'
import { type BackendState, fullRamp } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'

export const slowStartSchema = z.strictObject({
  /** How long it takes until the whole weight counts, in ms. */
  windowMs: z.int().min(20).max(86_400_000),
  /** The part of the weight that it begins with, in percent. Default 10 (Envoy's). */
  minPercent: z.int().min(1).max(100).default(10),
  /**
   * The shape of the ramp: after the part t of the window it has t^(1/aggression) of its weight. 1 is a straight line; more
   * gives it traffic earlier, less later. Default 1 (Envoy's).
   */
  aggression: z.number().min(0.1).max(10).default(1),
})
export type SlowStartConfig = z.output<typeof slowStartSchema>

/** How many steps a ramp has: each is a new snapshot, and a strategy may have to build a table for it (HAProxy takes 20). */
const steps = 20

/** Sets `ramp` and `weight` of backends. A step is taken when its time is over, so the share never runs ahead of the line. */
export class Ramp {
  readonly #clock: Clock
  readonly #onStep: () => void
  readonly #startedUs = new Map<BackendState, number>()
  #config: SlowStartConfig | undefined
  #timer: Timer | undefined

  /** `onStep` must bring the pool up to date, which calls `weigh` for every backend. */
  constructor(clock: Clock, onStep: () => void) {
    this.#clock = clock
    this.#onStep = onStep
  }

  /** Goes by this configuration from now on. Without one, every backend has its whole weight. */
  configure(config: SlowStartConfig | undefined): void {
    this.#config = config
    if (config === undefined) this.#startedUs.clear()
    // The next step may be due sooner than it was.
    this.#timer?.cancel()
    this.#timer = undefined
    this.#schedule()
  }

  /** Begins the ramp of one that joins or recovers. */
  start(backend: BackendState): void {
    if (this.#config === undefined) return
    this.#startedUs.set(backend, this.#clock.monoUs())
    this.#schedule()
  }

  forget(backend: BackendState): void {
    this.#startedUs.delete(backend)
  }

  /** Writes what its weight is now; returns whether it still ramps up. */
  weigh(backend: BackendState): boolean {
    backend.ramp = this.#rampOf(backend)
    backend.weight = backend.config.weight * backend.ramp
    return backend.ramp < fullRamp
  }

  /** Nobody ramps up any more, whatever comes or recovers while the last requests end. */
  close(): void {
    this.configure(undefined)
  }

  #rampOf(backend: BackendState): number {
    const startedUs = this.#startedUs.get(backend)
    const config = this.#config
    if (startedUs === undefined || config === undefined) return fullRamp
    const step = Math.floor(((this.#clock.monoUs() - startedUs) * steps) / (config.windowMs * 1000))
    if (step >= steps) {
      this.#startedUs.delete(backend)
      return fullRamp
    }
    return Math.max(config.minPercent * 10, Math.round(fullRamp * (step / steps) ** (1 / config.aggression)))
  }

  // One timer for all: those that began between two steps take theirs a little late, never early.
  #schedule(): void {
    if (this.#timer !== undefined || this.#config === undefined || this.#startedUs.size === 0) return
    this.#timer = this.#clock.after(Math.ceil(this.#config.windowMs / steps), () => {
      this.#timer = undefined
      this.#onStep()
      this.#schedule()
    })
  }
}
