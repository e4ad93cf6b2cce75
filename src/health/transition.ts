// What a health axis tells when it changes.
import type { BackendState } from '../backend.ts'

/** What moves an axis; docs/health.md says what each means, and in which unit its threshold is. */
export const causes = [
  'operator',
  'probe',
  'initial-state',
  'probes-off',
  'consecutive-failures',
  'failure-rate',
  'failure-outlier',
  'latency-outlier',
  'ejection-over',
  'trial-passed',
  'trial-failed',
  'ejection-off',
  'ejection-cap',
  'last-eligible',
  'max-in-flight',
  'room-again',
] as const

export interface Transition {
  readonly backend: BackendState
  readonly axis: 'admin' | 'active' | 'passive' | 'capacity'
  readonly from: string
  readonly to: string
  readonly cause: (typeof causes)[number]
  /** What was counted: in a row, or in the window or interval that decided. */
  readonly failures: number
  readonly successes: number
  readonly threshold?: number | undefined
  /** How long it had been out, when it comes back. */
  readonly downtimeUs?: number | undefined
  readonly lastError?: string | undefined
}

/** Applies the change to the pool and records it. */
export type OnTransition = (transition: Transition) => void
