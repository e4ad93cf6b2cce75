// Whether a failed attempt may be sent again, to another backend.
import { z } from 'zod'
import type { AttemptFailure } from '../outcome.ts'

const method = z.string().regex(/^[A-Z]+$/, 'expected a method in capitals')

export const retrySchema = z.strictObject({
  /** How many further backends a request may try. 0: none. Default 2. */
  retries: z.int().min(0).max(10).default(2),
  /**
   * Methods that are sent again although the backend may have seen the request. Default: the idempotent ones of RFC 9110
   * section 9.2.2. A request of which no byte was sent is tried elsewhere whatever its method.
   */
  methods: z.array(method).default(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']),
})
export type RetryConfig = z.output<typeof retrySchema>

/** What the decision needs to know of a request. */
export interface RetryFacts {
  readonly method: string
  /** How many attempts there were, the failed one included. */
  readonly attempts: number
  /** Whether the body can be sent once more: there is none, or nothing of it was read yet. */
  readonly replayable: boolean
}

/** Pure. A response that has begun is never retried: the caller does not ask. */
export function mayRetry(config: RetryConfig, failure: AttemptFailure, facts: RetryFacts): boolean {
  if (facts.attempts > config.retries || !facts.replayable) return false
  if (failure.result === 'client-gone' || failure.result === 'internal') return false
  return !failure.sent || config.methods.includes(facts.method)
}
