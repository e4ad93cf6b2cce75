// round-robin: each in turn, in proportion to the weights and evenly interleaved.
import type { BackendState } from '../backend.ts'
import { below, type Random } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'

/** Smooth weighted round-robin (nginx, 2012): each candidate gains its weight, the richest is taken and pays the sum. */
class RoundRobin implements Strategy {
  readonly name = 'round-robin'
  readonly #random: Random
  /** What each backend has gained and not yet paid; by identity, so that it survives every change of the pool. */
  readonly #credit = new WeakMap<BackendState, number>()
  #started = false

  constructor(random: Random) {
    this.#random = random
  }

  /** Skips a random part of the first cycle, so that a fleet of fresh balancers does not start on the same backend. */
  rebuild(candidates: readonly BackendState[]): void {
    if (this.#started || candidates.length === 0) return
    this.#started = true
    const cycle = candidates.reduce((sum, candidate) => sum + candidate.config.weight, 0)
    // Longer cycles are skipped into only so far: at most about 1 ms of work at start.
    for (let skip = below(this.#random, Math.min(cycle, 1000)); skip > 0; skip--) this.#next(candidates, undefined)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    draft.reason = candidates.length === 1 ? 'only-eligible' : 'next-in-rotation'
    return this.#next(candidates, draft.restricted ? draft : undefined)
  }

  #next(candidates: readonly BackendState[], draft: Draft | undefined): BackendState | undefined {
    let best: BackendState | undefined
    let most = Number.NEGATIVE_INFINITY
    let sum = 0
    for (const candidate of candidates) {
      if (draft !== undefined && !draft.admits(candidate)) continue
      const weight = candidate.config.weight
      const credit = (this.#credit.get(candidate) ?? 0) + weight
      this.#credit.set(candidate, credit)
      sum += weight
      if (credit > most) {
        best = candidate
        most = credit
      }
    }
    if (best !== undefined) this.#credit.set(best, most - sum)
    return best
  }
}

export const roundRobin: StrategyDefinition = { name: 'round-robin', create: (random) => new RoundRobin(random) }
