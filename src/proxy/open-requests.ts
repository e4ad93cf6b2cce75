// The requests that are open: one that stays open for long is told of before it is over.
import type { Clock, Timer } from '../clock.ts'

/** How long a request is open before it is told of. */
const longUs = 10_000_000
/** How often that is looked for: one timer for all of them, and none while none is open. */
const everyMs = 1000

/** One of them. Its links are written by {@link OpenRequests} alone. */
export interface OpenRequest {
  readonly startUs: number
  older: OpenRequest | undefined
  newer: OpenRequest | undefined
  /** Called once, while it is open, at the first look after it was open for so long. */
  stillOpen(openUs: number): void
}

/** A list without a node of its own for each: it costs a request four assignments. In the order of their beginning. */
export class OpenRequests {
  readonly #clock: Clock
  #oldest: OpenRequest | undefined
  #newest: OpenRequest | undefined
  #timer: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(one: OpenRequest): void {
    one.older = this.#newest
    if (this.#newest === undefined) this.#oldest = one
    else this.#newest.newer = one
    this.#newest = one
    if (this.#timer === undefined) this.#arm()
  }

  /** Must be called when it is over, or told of. A second call does nothing. */
  delete(one: OpenRequest): void {
    const { older, newer } = one
    if (older === undefined && this.#oldest !== one) return
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    one.older = undefined
    one.newer = undefined
  }

  #arm(): void {
    this.#timer = this.#clock.after(everyMs, () => {
      this.#timer = undefined
      const nowUs = this.#clock.monoUs()
      for (let one = this.#oldest; one !== undefined && nowUs - one.startUs >= longUs; one = this.#oldest) {
        this.delete(one)
        one.stillOpen(nowUs - one.startUs)
      }
      if (this.#oldest !== undefined) this.#arm()
    })
  }
}
