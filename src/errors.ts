// Every way in which a request or a call can fail: one table, one class.

/** Whose fault a failure is. Only the fault of a backend counts against its health. */
export type Blame = 'client' | 'backend' | 'balancer' | 'caller'

interface Failure {
  /** The HTTP status that a client gets when nothing was sent to it yet; 0 where no client is involved. */
  readonly status: number
  readonly blame: Blame
  readonly message: string
}

const table = {
  // A request that was refused before a backend was picked.
  malformed: { status: 400, blame: 'client', message: 'the request is not well-formed' },
  denied: { status: 403, blame: 'client', message: 'the client address is not allowed' },
  'expectation-failed': { status: 417, blame: 'client', message: 'the only expectation that is met is 100-continue' },
  'too-large': { status: 413, blame: 'client', message: 'the request body is larger than is allowed' },
  'target-too-long': { status: 414, blame: 'client', message: 'the request target is longer than is allowed' },
  'headers-too-large': { status: 431, blame: 'client', message: 'the request headers are larger than is allowed' },
  'client-timeout': { status: 408, blame: 'client', message: 'the client stalled within its request' },
  loop: { status: 508, blame: 'client', message: 'the request has passed this balancer before' },
  'client-gone': { status: 499, blame: 'client', message: 'the client left before the response was complete' },
  'no-backend': { status: 503, blame: 'backend', message: 'no backend is eligible' },
  'capacity-full': { status: 503, blame: 'balancer', message: 'too many requests wait for a backend with room' },
  'capacity-timeout': { status: 503, blame: 'balancer', message: 'no backend had room in time' },
  'tunnels-full': { status: 503, blame: 'balancer', message: 'too many tunnels are open' },
  closing: { status: 503, blame: 'balancer', message: 'the balancer is closing' },
  'audit-unavailable': { status: 503, blame: 'balancer', message: 'what cannot be recorded is not served' },
  'body-consumed': { status: 500, blame: 'caller', message: 'the request body was read before the balancer got it' },
  internal: { status: 500, blame: 'balancer', message: 'the balancer failed' },
  // An attempt on a backend that failed before its response began.
  'queue-full': { status: 503, blame: 'backend', message: 'too many requests wait for a connection' },
  'queue-timeout': { status: 503, blame: 'backend', message: 'no connection came free in time' },
  'connect-refused': { status: 502, blame: 'backend', message: 'the backend refused the connection' },
  'connect-failed': { status: 502, blame: 'backend', message: 'the backend cannot be reached' },
  'connect-timeout': { status: 504, blame: 'backend', message: 'the connection was not established in time' },
  'dns-failed': { status: 502, blame: 'backend', message: 'the name of the backend does not resolve' },
  'tls-failed': { status: 502, blame: 'backend', message: 'the TLS handshake with the backend failed' },
  'certificate-refused': { status: 502, blame: 'backend', message: 'the certificate of the backend does not verify' },
  'backend-reset': { status: 502, blame: 'backend', message: 'the backend closed the connection before its response' },
  'response-invalid': { status: 502, blame: 'backend', message: 'the response of the backend is not valid HTTP' },
  'header-timeout': { status: 504, blame: 'backend', message: 'the backend did not answer in time' },
  'drain-deadline': { status: 503, blame: 'balancer', message: 'the backend was disabled before it had answered' },
  'try-timeout': {
    status: 504,
    blame: 'backend',
    message: 'the backend did not answer within the time of one attempt',
  },
  'total-timeout': { status: 504, blame: 'backend', message: 'no backend answered within the time of all attempts' },
  // An attempt that was given up because another one of the same request was faster. No client gets this.
  'hedge-lost': { status: 0, blame: 'balancer', message: 'another attempt of the request was faster' },
  // After the response began: the connection to the client is destroyed, so that it sees the cut.
  'backend-cut': { status: 502, blame: 'backend', message: 'the backend closed the connection within its response' },
  'body-timeout': { status: 504, blame: 'backend', message: 'the backend stalled within its response' },
  'tunnel-idle': { status: 0, blame: 'balancer', message: 'the tunnel carried nothing for too long' },
  // Calls of the library.
  'config-invalid': { status: 0, blame: 'caller', message: 'what was given is not valid' },
  'backend-unknown': { status: 0, blame: 'caller', message: 'there is no such backend' },
  'backend-exists': { status: 0, blame: 'caller', message: 'there is a backend with this id' },
  'backend-discovered': { status: 0, blame: 'caller', message: 'the backend belongs to discovery' },
  'discovery-failed': { status: 0, blame: 'caller', message: 'no backend was discovered' },
  'change-refused': { status: 0, blame: 'caller', message: 'the actor may not make this change' },
  'change-unrecorded': { status: 0, blame: 'balancer', message: 'a change that cannot be recorded is refused' },
  'event-unknown': { status: 0, blame: 'caller', message: 'there is no such event to record' },
  'sink-unavailable': { status: 0, blame: 'caller', message: 'a sink cannot be opened' },
  'instance-held': { status: 0, blame: 'caller', message: 'another process writes under this instance name' },
  'log-invalid': { status: 0, blame: 'caller', message: 'unusable input' },
  'not-replayable': { status: 0, blame: 'caller', message: 'the record does not hold what the pick went by' },
  closed: { status: 0, blame: 'caller', message: 'it is closed' },
} satisfies Record<string, Failure>

/** The codes of {@link BalancerError}. Match on them: messages may change. */
export type ErrorCode = keyof typeof table

/** Status, blame and message of each code. */
export const failures: Readonly<Record<ErrorCode, Failure>> = table

/** One thing that is wrong with an input: where, and what was expected there. */
export interface Problem {
  /** The place, in the form `backends[1].weight`. */
  readonly path: string
  readonly message: string
}

/**
 * The one error class. `code` names the fact and is stable; `blame` says whose fault it is; `problems` lists each
 * invalid value where an input was refused.
 */
export class BalancerError extends Error {
  override readonly name = 'BalancerError'
  readonly code: ErrorCode
  readonly status: number
  readonly blame: Blame
  readonly problems: readonly Problem[]
  /** The id in the record of the request that failed, where it is one that did. */
  readonly requestId: string | undefined

  constructor(
    code: ErrorCode,
    detail?: string,
    options: { cause?: unknown; problems?: readonly Problem[]; requestId?: string } = {},
  ) {
    const { message, status, blame } = failures[code]
    super(detail === undefined ? message : `${message}: ${detail}`, 'cause' in options ? { cause: options.cause } : {})
    this.code = code
    this.status = status
    this.blame = blame
    this.problems = options.problems ?? []
    this.requestId = options.requestId
  }
}

/** The text of anything that was thrown, whatever its `message` is or does; never throws itself. */
export function reasonOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message || error.name : error)
  } catch {
    return 'an object that has no text'
  }
}
