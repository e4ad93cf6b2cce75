// random: each pick is a draw by weight.
import type { BackendState } from '../backend.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { isOnlyEligible } from './draw/only.ts'
import { WeightedDraw } from './draw/weighted.ts'

/** Draws independently of all that went before, in constant time; nothing is compared. */
class WeightedRandom implements Strategy {
  readonly name = 'random'
  readonly #draw = new WeightedDraw()

  rebuild(candidates: readonly BackendState[]): void {
    this.#draw.rebuild(candidates)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const picked = candidates[this.#draw.first(candidates, draft)]
    if (picked === undefined) return undefined
    draft.reason = isOnlyEligible(candidates, draft, picked) ? 'only-eligible' : 'drawn-by-weight'
    return picked
  }
}

export const random = {
  name: 'random',
  create: () => new WeightedRandom(),
} as const satisfies StrategyDefinition
