// least-connections: of all one that has least in flight for its weight, as far as one request more does not decide.
import { type BackendState, loadOf } from '../backend.ts'
import { below } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'

/** The scale of the scores that a trace shows: the greatest weight there is, so that any load at all is above 0. */
const scale = 65_535_000

/**
 * Draws by weight among those that have now less for their weight than anyone would have with this request. So where all are
 * idle each gets its share, and a light one that is idle does not get every request that comes (both go wrong where loads
 * are compared with the request, or without it, on both sides). At equal weights it is those that have least. Looks at every
 * candidate, three times at most: O(n). Compared by cross products, which are exact.
 */
class LeastConnections implements Strategy {
  readonly name = 'least-connections'

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const { restricted, trace } = draft
    /** The one that would have least for its weight with this request. */
    let next: BackendState | undefined
    let limit = 0
    let admitted = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (restricted && !draft.admits(candidate)) continue
      admitted++
      const load = loadOf(candidate)
      trace?.compared(candidate, Math.round((load * scale) / candidate.weight))
      if (next !== undefined && (load + 1) * next.weight >= limit * candidate.weight) continue
      next = candidate
      limit = load + 1
    }
    if (next === undefined || admitted === 1) {
      draft.reason = 'only-eligible'
      return next
    }
    let few = 0
    let total = 0
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (loadOf(candidate) * next.weight >= limit * candidate.weight) continue
      if (restricted && !draft.admits(candidate)) continue
      few++
      total += candidate.weight
    }
    draft.reason = few === 1 ? 'least-loaded' : 'equal-least-loaded'
    if (few === 1) return next
    let left = below(draft.random, total)
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (loadOf(candidate) * next.weight >= limit * candidate.weight) continue
      if (restricted && !draft.admits(candidate)) continue
      left -= candidate.weight
      if (left < 0) return candidate
    }
    return next
  }
}

export const leastConnections = {
  name: 'least-connections',
  create: () => new LeastConnections(),
} as const satisfies StrategyDefinition
