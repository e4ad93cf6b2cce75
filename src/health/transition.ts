// What a health axis tells when it changes.
import type { BackendState } from '../backend.ts'

export interface Transition {
  readonly backend: BackendState
  readonly axis: 'active' | 'passive'
  readonly from: string
  readonly to: string
  /** What moved it: `probe`, `initial-state`, `probes-off`, `consecutive-failures`, `ejection-over`, `ejection-off`, `last-eligible`. */
  readonly cause: string
  /** Consecutive failures and successes at that moment. */
  readonly failures: number
  readonly successes: number
  readonly threshold?: number
  /** How long it had been out, when it comes back. */
  readonly downtimeUs?: number
  readonly lastError?: string
}

/** Applies the change to the pool and records it. */
export type OnTransition = (transition: Transition) => void
