// The contract of a balancing strategy.
import type { z } from 'zod'
import type { BackendState } from './backend.ts'
import type { Clock } from './clock.ts'
import type { PickReason } from './decision.ts'
import type { Random } from './random.ts'
import type { PickRequest } from './request.ts'

/** What a strategy leaves of a pick that is traced. */
export interface Tracer {
  /** A candidate that was compared, and the integer by which it was. */
  compared(candidate: BackendState, score: number): void
  /** The 32-bit hash of the key. */
  hashed(hash: number): void
}

/** What a strategy gets for one pick, and where it leaves its reason. */
export interface Draft {
  readonly request: PickRequest
  /** Where a strategy must draw from, for a record of the draws to replay. */
  readonly random: Random
  /** False when every candidate may be taken, which is nearly always. */
  readonly restricted: boolean
  /**
   * Whether this candidate may be taken now. It may not when an earlier attempt of the request has tried it, or when it has
   * no room.
   */
  admits(candidate: BackendState): boolean
  /** Must be set by a strategy of ours before it returns a candidate; a user's own may leave it at `custom`. */
  reason: PickReason
  /** Given for the sampled picks only. */
  readonly trace?: Tracer | undefined
  /** The hash to go by in the place of the request's key; given when a record is replayed. */
  readonly hash?: number | undefined
}

/** How a request or a lease went on a backend. */
export interface Observation {
  /** Whether it failed by the backend's fault. */
  readonly failed: boolean
  /** From the pick to the head of the response, or to the failure, in µs. */
  readonly latencyUs: number
  /** Whether it was broken off before it was over: the latency is how long it had taken until then, and could have been more. */
  readonly incomplete?: boolean | undefined
  /** What the backend said in `Retry-After`, in ms. */
  readonly retryAfterMs?: number | undefined
}

/**
 * Chooses among the eligible. A strategy never sees health: who is not eligible is not in the list.
 *
 * `candidates` is the same frozen array until the pool changes, and `rebuild` is called before the first pick from a new
 * one; all their weights are above 0. `pick` must return a candidate that `draft.admits`, or undefined if there is none;
 * it must be synchronous, and should neither allocate nor keep the draft. What it throws is caught: the pick then falls to
 * the first candidate that is admitted. State of a backend must be kept by its identity (the object), for it survives
 * every change of the pool.
 */
export interface Strategy {
  readonly name: string
  /**
   * Takes over what another one learned of backends: one that chooses from another list of the same pool, or that went by
   * other options before. Called once, before the first `rebuild`; both are told of each end as long as both are asked.
   */
  inherit?(from: Strategy): void
  rebuild?(candidates: readonly BackendState[]): void
  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined
  /** Told of each end of a request or lease on a backend of the pool, once. */
  observe?(backend: BackendState, observation: Observation): void
  /** What a pick depends on besides weights, loads and draws: an integer for each candidate, for the record. */
  memory?(candidates: readonly BackendState[]): number[]
  /** Takes over what `memory` gave: after it, and the same `rebuild` before, the next pick is the same. */
  recall?(candidates: readonly BackendState[], memory: readonly number[]): void
}

/** What strategies are made with. */
export interface StrategyTools {
  readonly clock: Clock
  readonly random: Random
}

/** A strategy of the library: what configuration names. Adding one is a file and a line in `strategies/index.ts`. */
export interface StrategyDefinition<O = unknown> {
  readonly name: string
  /** Its options besides `name`, as a strict object. Absent where it has none. */
  readonly options?: z.ZodType<O>
  create(tools: StrategyTools, options: O): Strategy
}
