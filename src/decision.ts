// Why a backend was picked: the record that every pick yields.
import type { Backend } from './backend.ts'
import type { Json } from './canonical.ts'
import type { AttemptResult } from './outcome.ts'

/** Which rule chose the backend. `custom` is for a user's own strategy. */
export const pickReasons = [
  'next-in-rotation',
  'drawn-by-weight',
  'least-loaded',
  'equal-least-loaded',
  'less-loaded-of-two',
  'equal-load-of-two',
  'lower-cost-of-two',
  'equal-cost-of-two',
  'hash-owner',
  'hash-next',
  'first-in-order',
  'sticky',
  'only-eligible',
  'none-eligible',
  'custom',
] as const
export type PickReason = (typeof pickReasons)[number]

/** Why a backend was not a candidate. */
export const exclusionReasons = [
  'disabled',
  'draining',
  'unhealthy',
  'ejected',
  'weight-zero',
  'mirror-only',
  'other-group',
  'other-priority',
  'other-zone',
  'at-capacity',
  'tried',
] as const
export type ExclusionReason = (typeof exclusionReasons)[number]

/** What became of a client's affinity to a backend. */
export const stickyVerdicts = ['sticky-new', 'sticky-kept', 'sticky-lost', 'sticky-invalid'] as const
export type StickyVerdict = (typeof stickyVerdicts)[number]

export interface Exclusion {
  readonly backend: string
  readonly reason: ExclusionReason
}

/** What a pick went by, kept for a sample of them: enough for `replay` to do it once more. */
export interface Trace {
  /** What was drawn, in order: integers in [0, 2³²). */
  readonly draws: readonly number[]
  /** The 32-bit hash of the key. */
  readonly hash?: number | undefined
  /** Those that were compared, in order, and the integer by which they were. */
  readonly compared: readonly { readonly backend: string; readonly score: number }[]
  /** The options of the strategy. */
  readonly options?: Json | undefined
  /** Every candidate with its weight, load, and what the strategy remembers of it; absent where there were too many. */
  readonly pool?: readonly TracedCandidate[] | undefined
}

export interface TracedCandidate {
  readonly backend: string
  /** What part of the load it only counts as having. */
  readonly handicap?: number | undefined
  readonly load: number
  readonly memory?: number | undefined
  /** False where it could not be taken: it was tried before, or had no room. */
  readonly open: boolean
  readonly weight: number
}

/** Named and shaped as in a line, so that `replay` takes either. */
export interface Decision {
  /** The id of the chosen backend; absent with `none-eligible`. */
  readonly backend?: string | undefined
  /** How many backends the strategy could choose from. */
  readonly candidates: number
  readonly excluded: readonly Exclusion[]
  /** The part of `split` that the request fell to. */
  readonly group?: string | undefined
  /** True for the pick of a hedge. */
  readonly hedge?: boolean | undefined
  /** True when too few were eligible and health was left out of account. */
  readonly panic?: boolean | undefined
  /** The level of priority that the request fell to, where there are several. */
  readonly priority?: number | undefined
  /** How much of its weight the chosen one had, in permille, while it starts slowly. */
  readonly ramp?: number | undefined
  readonly reason: PickReason
  /** How many attempts of the request came before this one, if any. */
  readonly retry?: number | undefined
  /** The version of the pool's state that the pick saw; grows with each change of it. */
  readonly snapshot: number
  readonly sticky?: StickyVerdict | undefined
  readonly strategy: string
  readonly trace?: Trace | undefined
  /** Whether the request stayed in the preferred zone, where one is set. */
  readonly zone?: 'local' | 'spilled' | undefined
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
  /** The value of a `Set-Cookie` header that binds the client to this backend, where affinity is by a cookie. */
  readonly setCookie?: string | undefined
}

export interface LeaseOutcome {
  readonly result: AttemptResult
  /** The status of the response, for protocols that have one. */
  readonly status?: number
  /** How long the backend took to answer, in µs. Default: the time from the pick to this call. */
  readonly latencyUs?: number
}
