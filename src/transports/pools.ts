// The pools of a transport: one for each backend, and those of backends that left until they are empty.
import type { Backend } from '../backend.ts'
import type { Line, Pool } from './pool.ts'

/** What is kept for each backend. */
type Kept = Pick<Pool<Line>, 'isEmpty' | 'retire' | 'close'>

export class Pools<P extends Kept> {
  readonly #make: (backend: Backend) => P
  readonly #pools = new Map<string, P>()
  /** The same by the object, which nearly always is the same one. */
  #known = new WeakMap<Backend, P>()
  /** Those of backends that left: what is in use there finishes. */
  readonly #retired = new Set<P>()

  constructor(make: (backend: Backend) => P) {
    this.#make = make
  }

  of(backend: Backend): P {
    const known = this.#known.get(backend)
    if (known !== undefined) return known
    const key = wayOf(backend)
    let pool = this.#pools.get(key)
    if (pool === undefined) {
      pool = this.#make(backend)
      this.#pools.set(key, pool)
    }
    this.#known.set(backend, pool)
    return pool
  }

  /** Closes the idle connections of a backend that left; those in use close when they are done. */
  forget(backend: Backend): void {
    const key = wayOf(backend)
    const pool = this.#pools.get(key)
    if (pool === undefined) return
    this.#pools.delete(key)
    this.#known = new WeakMap()
    pool.retire()
    for (const old of this.#retired) if (old.isEmpty) this.#retired.delete(old)
    this.#retired.add(pool)
  }

  get isIdle(): boolean {
    return [...this.#pools.values(), ...this.#retired].every((pool) => pool.isEmpty)
  }

  /** Closes every connection, also those in use. */
  async close(): Promise<void> {
    await Promise.all([...this.#pools.values(), ...this.#retired].map((pool) => pool.close()))
    this.#pools.clear()
    this.#known = new WeakMap()
    this.#retired.clear()
  }
}

/** What tells one way to a backend from another: connections of the same can carry the requests of both. */
export const wayOf = ({ id, url, serverName, socketPath, tls }: Backend): string =>
  JSON.stringify([id, url, serverName, socketPath, tls])
