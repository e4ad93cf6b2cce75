// Whether a pick had any choice.
import type { BackendState } from '../../backend.ts'
import type { Draft } from '../../strategy.ts'

/** Whether nobody but `picked` may be taken. Looks no further than the first other one that may. */
export function isOnlyEligible(candidates: readonly BackendState[], draft: Draft, picked: BackendState): boolean {
  if (!draft.restricted) return candidates.length === 1
  for (const candidate of candidates) if (candidate !== picked && draft.admits(candidate)) return false
  return true
}
