// What the attempts of a request see of its client.
import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import type { RequestResult } from '../outcome.ts'
import type { AttemptRequest } from '../transport.ts'

/** The pick that brought a response. */
interface Source {
  readonly backend: BackendState
  readonly decision: Decision
}

/** The side of the client. */
export interface Outlet {
  /** The request as a backend gets it. */
  requestFor(backend: BackendState): AttemptRequest
  /** Whether the request's body can be sent once more; and whether at the same time as it is sent already. */
  readonly replayable: boolean
  readonly whole: boolean
  onHints(headers: string[]): void
  /** Called once. False when there is nobody to answer any more; throws where the head cannot be passed on. */
  onHead(from: Source, status: number, reason: string, headers: string[], resume: () => void): boolean
  onData(chunk: Buffer): boolean
  onEnd(trailers: readonly string[]): void
  /** No attempt is left, and none will follow. Called once. */
  onFail(result: Exclude<RequestResult, 'ok'>, detail: string | undefined): void
}
