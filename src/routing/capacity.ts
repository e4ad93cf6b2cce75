// Capacity: which backends have no room for one request more.
import { type BackendState, hasRoom } from '../backend.ts'

/** Keeps the capacity axis of every backend, which flips with the requests and makes no new snapshot. */
export class Capacity {
  readonly #onChange: (backend: BackendState) => void
  #full = 0

  /** `onChange` is told of each change of the axis, within the request that made it: it must be quick. */
  constructor(onChange: (backend: BackendState) => void) {
    this.#onChange = onChange
  }

  /** Whether every backend has room, which is nearly always. */
  get isFree(): boolean {
    return this.#full === 0
  }

  /** Must be called after each change of what a backend has in flight, of its limit, and of its passive axis. */
  update(backend: BackendState): void {
    const now = hasRoom(backend) ? 'free' : 'full'
    if (now === backend.capacity) return
    backend.capacity = now
    this.#full += now === 'full' ? 1 : -1
    this.#onChange(backend)
  }

  /** Counts a backend that left no more. */
  forget(backend: BackendState): void {
    if (backend.capacity === 'full') this.#full--
    backend.capacity = 'free'
  }
}
