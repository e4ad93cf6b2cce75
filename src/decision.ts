// Why a backend was picked: the record that every pick yields.
import type { Backend } from './backend.ts'
import type { AttemptResult } from './outcome.ts'

/** Which rule chose the backend. `custom` is for a user's own strategy. */
export const pickReasons = [
  'next-in-rotation',
  'less-loaded-of-two',
  'equal-load-of-two',
  'only-eligible',
  'none-eligible',
  'custom',
] as const
export type PickReason = (typeof pickReasons)[number]

/** Why a backend was not a candidate. */
export const exclusionReasons = ['draining', 'unhealthy', 'ejected', 'weight-zero', 'tried'] as const
export type ExclusionReason = (typeof exclusionReasons)[number]

export interface Exclusion {
  readonly backend: string
  readonly reason: ExclusionReason
}

export interface Decision {
  readonly strategy: string
  readonly reason: PickReason
  /** The id of the chosen backend; absent with `none-eligible`. */
  readonly backend?: string | undefined
  /** How many backends the strategy could choose from. */
  readonly candidates: number
  readonly excluded: readonly Exclusion[]
  /** The version of the pool's state that the pick saw; grows with each change of it. */
  readonly snapshot: number
}

/** A pick that holds a backend until it is done. */
export interface Lease {
  /** Undefined when nobody was eligible. */
  readonly backend: Backend | undefined
  readonly decision: Decision
  /**
   * Tells how it went and gives the backend back; passive health learns from it. Must be called once for each pick with a
   * backend; a second call is ignored. `ok` counts as a success; every result whose fault is the backend's counts as a
   * failure, and so does a `status` of those that `health.passive.statuses` names.
   */
  done(outcome: LeaseOutcome): void
}

export interface LeaseOutcome {
  readonly result: AttemptResult
  /** The status of the response, for protocols that have one. */
  readonly status?: number
}
