// Handicaps: who comes to a busy list of candidates counts as busy, until it has had its share.
import { type BackendState, loadOf } from '../backend.ts'

/** One list that a strategy chooses from: no load counts beyond it. */
interface Peers {
  /** The sum of its weights. */
  readonly whole: number
}

interface Debt {
  readonly backend: BackendState
  /** How much of one request is paid off, in units of the whole weight of its list. */
  paid: number
}

/**
 * A strategy that compares loads sends everything to a backend that comes with nothing in flight, until it has as much as the
 * others. Here it begins with what the median of the others has for its weight, and pays that off by one for each pick that
 * its share would bring it: it fills up as fast as it would if its requests ended when those of the others do.
 */
export class Handicaps {
  #debts: Debt[] = []
  /** The list that each candidate is in. Empty while nobody owes. */
  #peers = new Map<BackendState, Peers>()

  /** Whether there is none, which is nearly always. */
  get none(): boolean {
    return this.#debts.length === 0
  }

  /**
   * Must be called after each change of the pool, with all lists that are chosen from. Who is in none of them any more owes
   * nothing; those that come, and those whose weight still grows, are brought level with the others of their list.
   */
  renew(
    lists: readonly (readonly BackendState[])[],
    coming: ReadonlySet<BackendState>,
    growing: ReadonlySet<BackendState>,
  ): void {
    this.#peers.clear()
    if (this.none && coming.size === 0 && growing.size === 0) return
    for (const list of lists) {
      const peers = { whole: list.reduce((sum, { weight }) => sum + weight, 0) }
      for (const backend of list) this.#peers.set(backend, peers)
    }
    for (const { backend } of this.#debts) if (!this.#peers.has(backend)) backend.handicap = 0
    this.#settle()
    for (const list of lists) this.#level(list, coming, growing)
  }

  /** Counts one pick of this backend. */
  picked(backend: BackendState): void {
    const peers = this.#peers.get(backend)
    if (peers === undefined) return
    let cleared = false
    for (const debt of this.#debts) {
      if (this.#peers.get(debt.backend) !== peers) continue
      debt.paid += debt.backend.weight
      if (debt.paid < peers.whole) continue
      debt.paid -= peers.whole
      debt.backend.handicap--
      if (debt.backend.handicap === 0) cleared = true
    }
    if (cleared) this.#settle()
  }

  // Those that come at the same time are no measure for each other, or each would look as idle as the rest of them.
  #level(list: readonly BackendState[], coming: ReadonlySet<BackendState>, growing: ReadonlySet<BackendState>): void {
    const behind = list.filter((backend) => coming.has(backend) || growing.has(backend))
    if (behind.length === 0) return
    const there = list.filter((backend) => !coming.has(backend))
    const grown = there.filter((backend) => !growing.has(backend))
    const loads = (grown.length > 0 ? grown : there).map((other) => loadOf(other) / other.weight).sort((a, b) => a - b)
    const median = loads[Math.floor(loads.length / 2)] ?? 0
    const owing = new Set(this.#debts.map(({ backend }) => backend))
    for (const backend of behind) {
      const missing = Math.round(median * backend.weight) - backend.inFlight
      if (missing <= backend.handicap) continue
      backend.handicap = missing
      if (!owing.has(backend)) this.#debts.push({ backend, paid: 0 })
    }
  }

  #settle(): void {
    this.#debts = this.#debts.filter(({ backend }) => backend.handicap > 0)
  }
}
