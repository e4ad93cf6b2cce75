// least-connections: the one with the least in flight for its weight, of all.
import { type BackendState, loadOf } from '../backend.ts'
import { below } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'

/**
 * The scale of the scores that a trace shows: the greatest weight there is, so that any load at all is above 0. The pick
 * itself does not divide.
 */
const scale = 65_535_000

/**
 * Compares load over weight, without the request to come: so all that are idle are equal, and a draw by weight among the
 * equal gives each its share at low traffic, where the first in the list would get it all. Looks at every candidate: O(n),
 * and a second look at most when several are equal. Compared by cross products, which are exact.
 */
class LeastConnections implements Strategy {
  readonly name = 'least-connections'

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const { restricted, trace } = draft
    let best: BackendState | undefined
    let bestLoad = 0
    let bestWeight = 0
    let seen = 0
    /** Of those that are as good as `best`: the sum of their weights. */
    let tied = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (restricted && !draft.admits(candidate)) continue
      seen++
      const { weight } = candidate
      const load = loadOf(candidate)
      trace?.compared(candidate, Math.round((load * scale) / weight))
      const difference = best === undefined ? -1 : load * bestWeight - bestLoad * weight
      if (difference > 0) continue
      tied = difference === 0 ? tied + weight : weight
      if (difference === 0) continue
      best = candidate
      bestLoad = load
      bestWeight = weight
    }
    if (best === undefined) return undefined
    const isTied = tied > bestWeight
    draft.reason = seen === 1 ? 'only-eligible' : isTied ? 'equal-least-loaded' : 'least-loaded'
    if (!isTied) return best
    // The weights of those as loaded as `best`, laid end to end: the one at this point. Not a function of its own, for handing
    // it a number that may be a double would allocate.
    let left = below(draft.random, tied)
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (loadOf(candidate) * bestWeight !== bestLoad * candidate.weight) continue
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
