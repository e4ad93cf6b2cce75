// Whether a failed attempt may be followed by another, on another backend.
import { z } from 'zod'
import type { AttemptResult, RetryDenial } from '../outcome.ts'
import { budgetSchema } from './budget.ts'

const method = z.string().regex(/^[A-Z]+$/, 'expected a method in capitals')

export const retrySchema = z.strictObject({
  /** How many further backends a request may try, one after the other. 0: none. Default 2. */
  retries: z.int().min(0).max(10).default(2),
  /**
   * Methods that are sent again although the backend may have seen the request, and that may be hedged. Default: the
   * idempotent ones of RFC 9110 section 9.2.2. A request of which no byte was sent is tried elsewhere whatever its method.
   */
  methods: z.array(method).default(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']),
  /** Statuses of a response that is set aside while another backend is tried. Default none. */
  statuses: z.array(z.int().min(400).max(599)).default([]),
  /** How much of a request's body is kept so that it can be sent again, in bytes. 0: nothing. Default 65,536. */
  bodyBytes: z.int().min(0).max(16_777_216).default(65_536),
  /** How many extra attempts there may be in all, hedges included. */
  budget: budgetSchema.prefault({}),
})
export type RetryConfig = z.output<typeof retrySchema>

/** An attempt that is over, as far as what may follow goes by it. */
export interface RetryFacts {
  readonly method: string
  readonly result: AttemptResult
  /** Whether any byte of the request may have reached the backend. */
  readonly sent: boolean
  /** How many retries the request had. */
  readonly retries: number
  /** Whether the body can be sent once more: there is none, all that was read of it is kept, or nothing was read yet. */
  readonly replayable: boolean
}

/** What no other backend can mend. */
const final: readonly AttemptResult[] = ['client-gone', 'internal', 'total-timeout']

/** Pure. Why no attempt may follow, if none may. Once the client has a part of a response nobody asks. */
export function retryDenial(config: RetryConfig, facts: RetryFacts): RetryDenial | undefined {
  if (final.includes(facts.result)) return 'result'
  if (facts.sent && !config.methods.includes(facts.method)) return 'method'
  if (!facts.replayable) return 'body'
  return facts.retries >= config.retries ? 'limit' : undefined
}
