// Handicaps: who comes to a busy pool counts as busy, until it has had its share.
import type { BackendState } from '../backend.ts'

interface Debt {
  readonly backend: BackendState
  /** How much of one request is paid off, in units of the pool's whole weight. */
  paid: number
}

/**
 * A strategy that compares loads sends everything to a backend that comes with nothing in flight, until it has as much as the
 * others. Here it begins with what the median of the others has for its weight, and pays that off by one for each pick that
 * its share would bring it: it fills up as fast as it would if its requests ended when those of the others do.
 */
export class Handicaps {
  #debts: Debt[] = []
  #whole = 0

  /** Whether there is none, which is nearly always. */
  get none(): boolean {
    return this.#debts.length === 0
  }

  /** Brings one that came, or that got more weight, level with the others of the pool. */
  level(backend: BackendState, candidates: readonly BackendState[]): void {
    const loads = candidates
      .filter((other) => other !== backend)
      .map((other) => (other.inFlight + other.handicap) / other.weight)
      .sort((a, b) => a - b)
    const median = loads[Math.floor(loads.length / 2)] ?? 0
    const missing = Math.round(median * backend.weight) - backend.inFlight
    if (missing <= backend.handicap) return
    backend.handicap = missing
    if (!this.#debts.some((debt) => debt.backend === backend)) this.#debts.push({ backend, paid: 0 })
  }

  /** Must be called after each change of the pool: who is no candidate any more owes nothing. */
  keep(candidates: readonly BackendState[]): void {
    this.#whole = candidates.reduce((sum, { weight }) => sum + weight, 0)
    if (this.none) return
    const stays = new Set(candidates)
    for (const { backend } of this.#debts) if (!stays.has(backend)) backend.handicap = 0
    this.#settle()
  }

  /** Counts one pick of the pool. */
  picked(): void {
    let cleared = false
    for (const debt of this.#debts) {
      debt.paid += debt.backend.weight
      if (debt.paid < this.#whole) continue
      debt.paid -= this.#whole
      debt.backend.handicap--
      if (debt.backend.handicap === 0) cleared = true
    }
    if (cleared) this.#settle()
  }

  #settle(): void {
    this.#debts = this.#debts.filter(({ backend }) => backend.handicap > 0)
  }
}
