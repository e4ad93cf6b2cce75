// What is in flight: on each backend, and in all; and waits for it to end.
import type { BackendState } from '../backend.ts'

/** The one place where in-flight counts change. */
export class InFlight {
  /** Told of each change on a backend. */
  readonly #onChange: (backend: BackendState, taken: boolean) => void
  /** Open requests and leases. */
  total = 0
  readonly #waits = new Map<BackendState | undefined, (() => void)[]>()

  constructor(onChange: (backend: BackendState, taken: boolean) => void) {
    this.#onChange = onChange
  }

  opened(): void {
    this.total++
  }

  closed(): void {
    this.total--
    if (this.total === 0) this.#wake(undefined)
  }

  take(backend: BackendState): void {
    backend.inFlight++
    backend.picks++
    this.#onChange(backend, true)
  }

  release(backend: BackendState, failed: boolean): void {
    backend.inFlight--
    if (failed) backend.failures++
    this.#onChange(backend, false)
    if (backend.inFlight === 0) this.#wake(backend)
  }

  /** Resolves when nothing is in flight on this backend, without one when nothing is at all. */
  empty(backend?: BackendState): Promise<void> {
    if ((backend === undefined ? this.total : backend.inFlight) === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const waiting = this.#waits.get(backend)
      if (waiting === undefined) this.#waits.set(backend, [resolve])
      else waiting.push(resolve)
    })
  }

  #wake(backend: BackendState | undefined): void {
    const waiting = this.#waits.get(backend)
    if (waiting === undefined) return
    this.#waits.delete(backend)
    for (const resolve of waiting) resolve()
  }
}
