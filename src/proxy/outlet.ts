// What the attempts of a request see of its client.
import type { Duplex } from 'node:stream'
import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import type { AttemptFailure, RequestResult } from '../outcome.ts'
import type { AttemptRequest } from '../transport.ts'
import type { Tunnel } from './tunnel.ts'

/** The pick that brought a response. */
export interface Source {
  readonly backend: BackendState
  readonly decision: Decision
}

/** A pick whose backend has switched protocols. It ends when the tunnel does, by one of these. */
export interface Switching extends Source {
  onEnd(trailers: string[]): void
  onFail(failure: AttemptFailure): void
}

/** What a backend has switched with. */
export interface Switched {
  readonly headers: string[]
  readonly socket: Duplex
  /** What came behind the response. */
  readonly head: Buffer
}

/** The side of the client. */
export interface Outlet {
  /** The request as a backend gets it. */
  requestFor(backend: BackendState): AttemptRequest
  /** Whether the request's body can be sent once more; and whether at the same time as it is sent already. */
  readonly replayable: boolean
  readonly whole: boolean
  /** Whether no other backend may be asked once one may have seen it. */
  readonly once: boolean
  onHints(headers: string[]): void
  /** Called once. False when there is nobody to answer any more; throws where the head cannot be passed on. */
  onHead(from: Source, status: number, reason: string, headers: string[], resume: () => void): boolean
  /** Called once, instead of `onHead`. The tunnel is to be started; undefined and throws as with `onHead`. */
  onSwitch(from: Switching, switched: Switched): Tunnel | undefined
  onData(chunk: Buffer): boolean
  onEnd(trailers: readonly string[]): void
  /** No attempt is left, and none will follow. Called once. */
  onFail(result: Exclude<RequestResult, 'ok'>, detail: string | undefined): void
}
