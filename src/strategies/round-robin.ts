// round-robin: each in turn, in proportion to the weights and evenly interleaved.
import type { BackendState } from '../backend.ts'
import { below, type Random } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'

/** Units that a weight of 1 counts: what is owed is brought to another scale without losing the part of a pick it stands for. */
const grain = 1024

/** What one backend has gained and not yet paid, and what a pick costs on the scale that this is counted in. */
interface Account {
  credit: number
  readonly price: number
}

/** Smooth weighted round-robin (nginx, 2012): each candidate gains its weight, the richest is taken and pays the sum. */
class RoundRobin implements Strategy {
  readonly name = 'round-robin'
  readonly #random: Random
  /** By identity, so that they survive every change of the pool. */
  readonly #accounts = new WeakMap<BackendState, Account>()
  #started = false

  constructor(random: Random) {
    this.#random = random
  }

  /** Skips a random part of the first cycle, so that a fleet of fresh balancers does not start on the same backend. */
  rebuild(candidates: readonly BackendState[]): void {
    if (candidates.length === 0) return
    const cycle = candidates.reduce((sum, candidate) => sum + candidate.weight, 0)
    this.#rescale(candidates, cycle * grain)
    if (this.#started) return
    this.#started = true
    // Longer cycles are skipped into only so far: at most about 1 ms of work at start.
    for (let skip = below(this.#random, Math.min(cycle, 1000)); skip > 0; skip--) this.#next(candidates, undefined)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    draft.reason = candidates.length === 1 ? 'only-eligible' : 'next-in-rotation'
    return this.#next(candidates, draft.restricted ? draft : undefined)
  }

  // Credits are parts of a pick. Where a pick costs less than before, as when weights shrink or a heavy backend is out, those
  // of the old scale would keep one backend waiting for as many picks as it takes the others to work them off.
  #rescale(candidates: readonly BackendState[], price: number): void {
    const accounts = candidates.map((candidate) => {
      const { credit, price: before } = this.#accounts.get(candidate) ?? { credit: 0, price }
      const account = { credit: Math.round(credit * (price / before)), price }
      this.#accounts.set(candidate, account)
      return account
    })
    // Who left took its credit along: without this, one that comes new would meet others who are all rich, or all poor.
    const mean = Math.round(accounts.reduce((sum, { credit }) => sum + credit, 0) / accounts.length)
    for (const account of accounts) account.credit = Math.max(-price, Math.min(price, account.credit - mean))
  }

  #next(candidates: readonly BackendState[], draft: Draft | undefined): BackendState | undefined {
    let best: BackendState | undefined
    let payer: Account | undefined
    let most = Number.NEGATIVE_INFINITY
    let sum = 0
    for (const candidate of candidates) {
      if (draft !== undefined && !draft.admits(candidate)) continue
      const gain = candidate.weight * grain
      // The last rebuild has seen to it that there is one.
      const account = this.#accounts.get(candidate)!
      account.credit += gain
      sum += gain
      if (account.credit > most) {
        best = candidate
        payer = account
        most = account.credit
      }
    }
    if (payer !== undefined) payer.credit -= sum
    return best
  }
}

export const roundRobin = {
  name: 'round-robin',
  create: ({ random }) => new RoundRobin(random),
} as const satisfies StrategyDefinition
