// What runs on each backend, so that it can be cut off there.
import type { BackendState } from '../backend.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { Connected } from '../transport.ts'

/** An attempt that can be broken off. */
export interface Breakable {
  readonly backend: BackendState
  /** Set once the backend may have seen the request. */
  readonly connected: Connected | undefined
  fail(failure: AttemptFailure): void
}

export class Running {
  readonly #on = new Map<BackendState, Set<Breakable>>()

  add(one: Breakable): void {
    const all = this.#on.get(one.backend)
    if (all === undefined) this.#on.set(one.backend, new Set([one]))
    else all.add(one)
  }

  /** Must be called when it is over, however it ended. */
  delete(one: Breakable): void {
    const all = this.#on.get(one.backend)
    if (all?.delete(one) && all.size === 0) this.#on.delete(one.backend)
  }

  /** Breaks off all that runs on this backend. */
  cut(backend: BackendState): void {
    for (const one of [...(this.#on.get(backend) ?? [])])
      one.fail({
        result: 'drain-deadline',
        sent: one.connected !== undefined,
        detail: `${backend.config.id} is disabled`,
      })
  }
}
