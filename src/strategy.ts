// The contract of a balancing strategy.
import type { BackendState } from './backend.ts'
import type { PickReason } from './decision.ts'
import type { Random } from './random.ts'
import type { PickRequest } from './request.ts'

/** What a strategy gets for one pick, and where it leaves its reason. */
export interface Draft {
  readonly request: PickRequest
  readonly random: Random
  /** False when every candidate may be taken, which is nearly always. */
  readonly restricted: boolean
  /** Whether this candidate may be taken now. It may not when an earlier attempt of the request has tried it. */
  admits(candidate: BackendState): boolean
  /** Must be set by a strategy of ours before it returns a candidate; a user's own may leave it at `custom`. */
  reason: PickReason
}

/**
 * Chooses among the eligible. A strategy never sees health: who is not eligible is not in the list.
 *
 * `candidates` is the same frozen array until the pool changes, and `rebuild` is called before the first pick from a new
 * one; all their weights are above 0. `pick` must return a candidate that `draft.admits`, or undefined if there is none;
 * it must be synchronous, and should neither allocate nor keep the draft. What it throws is caught: the pick then falls to
 * the first candidate that is admitted.
 */
export interface Strategy {
  readonly name: string
  rebuild?(candidates: readonly BackendState[]): void
  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined
}

/** A strategy of the library: what configuration names. Adding one is a file and a line in `strategies/index.ts`. */
export interface StrategyDefinition {
  readonly name: string
  create(random: Random): Strategy
}
