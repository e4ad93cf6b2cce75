// first: the first in the order of the list that may be taken.
import type { BackendState } from '../backend.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { isOnlyEligible } from './draw/only.ts'

/** Everything goes to one backend for as long as that one may be taken; the others stand by. Weights do not count. O(n) at worst. */
class First implements Strategy {
  readonly name = 'first'

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      if (draft.restricted && !draft.admits(candidate)) continue
      draft.reason = isOnlyEligible(candidates, draft, candidate) ? 'only-eligible' : 'first-in-order'
      return candidate
    }
    return undefined
  }
}

export const first = {
  name: 'first',
  create: () => new First(),
} as const satisfies StrategyDefinition
