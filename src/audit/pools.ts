// The balancers that are open on one trail: their lines are told apart by the names of their pools.
import type { Logger } from '../runtime.ts'

export class Pools {
  readonly #logger: Logger
  readonly #open = new Map<string, number>()
  readonly #told = new Set<string>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /**
   * Takes in a balancer, and warns once if another of its name is open: it may be meant, as when one takes over from the other.
   * Returns a function that is to be called, once, when it begins to close.
   */
  enter(name: string): () => void {
    const others = this.#open.get(name) ?? 0
    this.#open.set(name, others + 1)
    if (others > 0 && !this.#told.has(name)) {
      this.#told.add(name)
      this.#logger.warn(
        { pool: name },
        'open balancers share a trail and a name: only config_hash tells their lines apart',
      )
    }
    return () => this.#open.set(name, this.#open.get(name)! - 1)
  }
}
