// The capacity axis: tells when a backend is full and when it has room again, at most once a second each.
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { OnTransition } from './transition.ts'

/** How long there must have been room before it is told: a backend at its limit is full and not full with every request. */
const calmMs = 1000

interface Full {
  readonly sinceUs: number
  /** Since when it has had room; undefined while it is full. */
  roomUs: number | undefined
  timer: Timer | undefined
}

export class CapacityHealth {
  readonly #clock: Clock
  readonly #onTransition: OnTransition
  /** Those that were told to be full. */
  readonly #full = new Map<BackendState, Full>()

  constructor(clock: Clock, onTransition: OnTransition) {
    this.#clock = clock
    this.#onTransition = onTransition
  }

  /** Must be called when a backend comes to its limit, and when it leaves it. */
  changed(backend: BackendState, isFull: boolean): void {
    const known = this.#full.get(backend)
    if (isFull) {
      if (known === undefined) this.#tellFull(backend)
      else known.roomUs = undefined
    } else if (known !== undefined) {
      known.roomUs ??= this.#clock.monoUs()
      // One timer a second at most, however often it changes meanwhile.
      known.timer ??= this.#clock.after(calmMs, () => this.#look(backend, known))
    }
  }

  forget(backend: BackendState): void {
    this.#full.get(backend)?.timer?.cancel()
    this.#full.delete(backend)
  }

  close(): void {
    for (const backend of this.#full.keys()) this.forget(backend)
  }

  #tellFull(backend: BackendState): void {
    this.#full.set(backend, { sinceUs: this.#clock.monoUs(), roomUs: undefined, timer: undefined })
    this.#onTransition({
      backend,
      axis: 'capacity',
      from: 'free',
      to: 'full',
      cause: 'max-in-flight',
      failures: 0,
      successes: 0,
      threshold: backend.config.maxInFlight,
    })
  }

  #look(backend: BackendState, full: Full): void {
    full.timer = undefined
    if (full.roomUs === undefined) return
    const now = this.#clock.monoUs()
    const leftMs = calmMs - (now - full.roomUs) / 1000
    if (leftMs > 0) {
      full.timer = this.#clock.after(Math.ceil(leftMs), () => this.#look(backend, full))
      return
    }
    this.#full.delete(backend)
    this.#onTransition({
      backend,
      axis: 'capacity',
      from: 'full',
      to: 'free',
      cause: 'room-again',
      failures: 0,
      successes: 0,
      downtimeUs: now - full.sinceUs,
    })
  }
}
