// How a request, an attempt or a lease ended: a value, never an exception.
import { type ErrorCode, failures } from './errors.ts'

const sharedResults = [
  'ok',
  'queue-full',
  'queue-timeout',
  'connect-refused',
  'connect-failed',
  'connect-timeout',
  'dns-failed',
  'tls-failed',
  'certificate-refused',
  'backend-reset',
  'response-invalid',
  'header-timeout',
  'try-timeout',
  'total-timeout',
  'backend-cut',
  'body-timeout',
  'tunnel-idle',
  'drain-deadline',
  'client-gone',
  'client-timeout',
  'too-large',
  'internal',
] as const

/** The codes of `lb.result` for one attempt on a backend. An attempt that another one was faster than is `hedge-lost`. */
export const attemptResults = [...sharedResults, 'hedge-lost'] as const

/** The codes of `lb.result` for a whole request: those of its last attempt, or why there was none. */
export const requestResults = [
  ...sharedResults,
  'malformed',
  'target-too-long',
  'headers-too-large',
  'denied',
  'expectation-failed',
  'loop',
  'no-backend',
  'capacity-full',
  'capacity-timeout',
  'tunnels-full',
  'closing',
  'audit-unavailable',
  'body-consumed',
] as const

export type AttemptResult = (typeof attemptResults)[number]
export type RequestResult = (typeof requestResults)[number]
/** What a failed attempt can make of its request. */
export type FailedResult = Exclude<(typeof sharedResults)[number], 'ok'>

/** Why a request whose attempt failed was not tried again. */
export const retryDenials = ['result', 'method', 'body', 'limit', 'budget', 'no-backend', 'closing'] as const
export type RetryDenial = (typeof retryDenials)[number]

/** How a request or a lease ended on a backend: what health and strategies learn from. */
export interface Ending {
  readonly result: AttemptResult
  /** The status of the response, where there was one. */
  readonly status?: number | undefined
  /** When the backend was picked, on the monotonic clock: what began before a trial does not decide it. */
  readonly startUs: number
  /** From the pick to the head of the response, or to the end where there was none, in µs. */
  readonly latencyUs: number
  /** What the backend said in `Retry-After`, in ms. */
  readonly retryAfterMs?: number | undefined
}

/** Why an attempt failed, decided where it happened. */
export interface AttemptFailure {
  readonly result: FailedResult
  /** Whether any byte of the request may have reached the backend. If not, any method may be sent again. */
  readonly sent: boolean
  /** The fact, in words or as a code of the system: `ECONNREFUSED`. */
  readonly detail: string
}

/** The status for a client that got nothing yet. */
export const statusOf = (result: Exclude<RequestResult, 'ok'>): number => failures[result].status

/** Whether an attempt that ended so counts against the health of its backend. */
export function isBackendFault(result: AttemptResult): boolean {
  if (result === 'ok' || result === 'queue-full' || result === 'queue-timeout') return false
  return failures[result satisfies ErrorCode].blame === 'backend'
}
