// power-of-two: draws two distinct backends by weight, and takes the one with less in flight for its weight.
import { type BackendState, loadOf } from '../backend.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { WeightedDraw } from './draw/weighted.ts'

/**
 * The power of two random choices (Mitzenmacher, 2001). The two are always distinct: a draw with replacement picks the
 * busier of two backends in a quarter of all cases. The first draw stays unless the second would be, with this request, at
 * most as loaded for its weight as the first is without it: so at low traffic the shares follow the weights, and a light one
 * that is idle does not win whenever it is drawn. Their loads are equal where either would stay if it was drawn first.
 * Constant time.
 */
class PowerOfTwo implements Strategy {
  readonly name = 'power-of-two'
  readonly #draw = new WeightedDraw()

  rebuild(candidates: readonly BackendState[]): void {
    this.#draw.rebuild(candidates)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const first = this.#draw.first(candidates, draft)
    if (first === -1) return undefined
    const second = this.#draw.second(candidates, draft, first)
    const a = candidates[first]!
    if (second === -1) {
      draft.reason = 'only-eligible'
      return a
    }
    const b = candidates[second]!
    // Load over weight, compared without a division: a million requests times the greatest weight is far below 2⁵³.
    const loadA = loadOf(a) * b.weight
    const loadB = (loadOf(b) + 1) * a.weight
    draft.trace?.compared(a, loadA)
    draft.trace?.compared(b, loadB)
    const isEqual = loadB > loadA && loadA + b.weight > loadB - a.weight
    draft.reason = isEqual ? 'equal-load-of-two' : 'less-loaded-of-two'
    return loadB <= loadA ? b : a
  }
}

export const powerOfTwo = {
  name: 'power-of-two',
  create: () => new PowerOfTwo(),
} as const satisfies StrategyDefinition
