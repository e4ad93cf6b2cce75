// What runs on the backends, so that it can be cut off there.
import type { BackendState } from '../backend.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { Connected } from '../transport.ts'

/** An attempt that can be broken off. */
export interface Breakable {
  readonly backend: BackendState
  /** Set once the backend may have seen the request. */
  readonly connected: Connected | undefined
  /** Its place among those that run; -1 while it does not. Written by {@link Running}. */
  place: number
  fail(failure: AttemptFailure): void
}

export class Running {
  /** In no order: each knows its place, for a set of what comes and goes with every request costs more than the rest of this. */
  readonly #all: Breakable[] = []

  add(one: Breakable): void {
    one.place = this.#all.push(one) - 1
  }

  /** Must be called when it is over, however it ended. */
  delete(one: Breakable): void {
    if (one.place === -1) return
    const last = this.#all.pop()!
    if (last !== one) {
      this.#all[one.place] = last
      last.place = one.place
    }
    one.place = -1
  }

  /** Breaks off all that runs on this backend. */
  cut(backend: BackendState): void {
    for (const one of this.#all.filter((other) => other.backend === backend))
      one.fail({
        result: 'drain-deadline',
        sent: one.connected !== undefined,
        detail: `${backend.config.id} is disabled`,
      })
  }
}
