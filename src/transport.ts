// The contract of one attempt: a request to one backend, and its response.
import type { Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import type { Backend } from './backend.ts'
import type { AttemptFailure } from './outcome.ts'

export interface AttemptRequest {
  readonly backend: Backend
  readonly method: string
  /** Path and query in origin form. */
  readonly path: string
  /** Names and values in turn, in order, with case and duplicates kept; free of hop-by-hop fields. */
  readonly headers: string[]
  /** Undefined when the request has none. Destroying it must not destroy the client's connection. */
  readonly body: Readable | Buffer | undefined
  /**
   * Whether it may be sent once more where a connection that was kept alive turns out to have been closed by the backend
   * meanwhile (RFC 9110 section 9.2.2, RFC 9112 section 9.3.1): its method is idempotent and it has no body.
   */
  readonly repeatable: boolean
  /** The value of `Upgrade`, where the client asks for another protocol; it and `Connection` are not among the headers. */
  readonly upgrade?: string | undefined
  /** Calls this as a part of the request's trace, where the host traces: to be used for all that tells of the request. */
  readonly within?: ((act: () => void) => void) | undefined
}

/** What became of the connection, told once it carries the request. */
export interface Connected {
  /** Whether the connection had carried another request before. */
  readonly reused: boolean
  /** How long the request waited for a free connection. */
  readonly queueUs: number
  /** How long the connection took to open; 0 if reused. */
  readonly connectUs: number
  /** How many connections that were kept alive turned out to be closed before this one carried the request. */
  readonly stale?: number
  /** The address that the connection has, where the backend is given by a name. */
  readonly peerAddress?: string | undefined
}

/**
 * Who drives an attempt. After `onEnd` or `onFail`, of which exactly one is called exactly once, nothing is called any
 * more. What these functions throw makes the attempt fail with `internal`.
 */
export interface AttemptHandler {
  /** Called once more where the request is sent again on another connection: then the last facts count. */
  onConnected(facts: Connected): void
  /** A response head of the 1xx class but 100 and 101. `headers` as in a request. */
  onInformation(status: number, headers: string[]): void
  /** `resume` continues a body that `onData` has stopped. */
  onResponse(status: number, reason: string, headers: string[], resume: () => void): void
  /** Returns false to stop the flow until `resume` is called. */
  onData(chunk: Buffer): boolean
  onEnd(trailers: string[]): void
  onFail(failure: AttemptFailure): void
  /**
   * The backend has switched protocols: instead of `onResponse`, and only for a request with `upgrade`. The connection is the
   * handler's from now on; nothing is called any more, and to cancel does nothing. `head` is what came behind the response.
   */
  onUpgrade?(headers: string[], socket: Duplex, head: Buffer): void
}

/** Ends a running attempt at once, whatever it is waiting for; the connection is closed. `onFail` is not called. */
export type Cancel = () => void

/**
 * Sends attempts. `send` must not throw: whatever is wrong with a request or a backend comes as `onFail`. A request that is
 * refused must not cost a connection.
 */
export interface Transport {
  readonly name: string
  send(request: AttemptRequest, handler: AttemptHandler): Cancel
  /** Closes the idle connections of a backend that left; those in use close when they are done. */
  forget(backend: Backend): void
  /** Whether it holds no connection at all. */
  readonly isIdle: boolean
  /** Closes every connection, also those in use. */
  close(): Promise<void>
}

/**
 * Connects to a backend the way that its traffic goes, and calls `settle` once, with an error or with a socket that carries
 * errors without a listener of its own. The function it returns gives up: then `settle` is not called.
 */
export type Dial = (backend: Backend, settle: (error: Error | undefined, socket: Socket) => void) => () => void
