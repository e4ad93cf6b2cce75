// least-connections: of all the one that would have the least in flight for its weight.
import { type BackendState, loadOf } from '../backend.ts'
import { below } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { WeightedDraw } from './draw/weighted.ts'

/** The scale of the scores that a trace shows: the greatest weight there is, so that any load at all is above 0. */
const scale = 65_535_000

/**
 * Draws one by weight, which stays unless another would be, with this request, at most as loaded for its weight as the drawn
 * one is without it. So where all are idle the draw decides, and each gets its share at low traffic, and a light one that is
 * idle does not get every request that comes (both go wrong where loads are compared with the request, or without it, on both
 * sides). Of several others that would be equally loaded, one is drawn by weight. Looks at every candidate: O(n), and a second
 * time only for that draw. Compared by cross products, which are exact.
 */
class LeastConnections implements Strategy {
  readonly name = 'least-connections'
  readonly #draw = new WeightedDraw()

  rebuild(candidates: readonly BackendState[]): void {
    this.#draw.rebuild(candidates)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const { restricted, trace } = draft
    const index = this.#draw.first(candidates, draft)
    const drawn = candidates[index]
    if (drawn === undefined) return undefined
    trace?.compared(drawn, Math.round((loadOf(drawn) * scale) / drawn.weight))
    let best = drawn
    let bestLoad = loadOf(drawn)
    let others = 0
    let isTied = false
    /** Of those that are as good as `best`, the drawn one left out: the sum of their weights. */
    let tied = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (i === index || (restricted && !draft.admits(candidate))) continue
      others++
      const { weight } = candidate
      const load = loadOf(candidate) + 1
      if (best === drawn && (load - 1) * drawn.weight === bestLoad * weight) isTied = true
      trace?.compared(candidate, Math.round((load * scale) / weight))
      const difference = load * best.weight - bestLoad * weight
      if (difference > 0) continue
      if (difference === 0 && best !== drawn) {
        tied += weight
        continue
      }
      best = candidate
      bestLoad = load
      tied = weight
    }
    if (best === drawn || tied === best.weight) {
      const reason = best === drawn && isTied ? 'equal-least-loaded' : 'least-loaded'
      draft.reason = others === 0 ? 'only-eligible' : reason
      return best
    }
    draft.reason = 'equal-least-loaded'
    let left = below(draft.random, tied)
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (i === index || (loadOf(candidate) + 1) * best.weight !== bestLoad * candidate.weight) continue
      if (restricted && !draft.admits(candidate)) continue
      left -= candidate.weight
      if (left < 0) return candidate
    }
    return best
  }
}

export const leastConnections = {
  name: 'least-connections',
  create: () => new LeastConnections(),
} as const satisfies StrategyDefinition
