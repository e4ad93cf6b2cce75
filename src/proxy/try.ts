// One attempt on a backend while it runs: it passes on what comes until it is over, and knows how to break it off.
import { type Duplex, Readable } from 'node:stream'
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Decision } from '../decision.ts'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure, AttemptResult } from '../outcome.ts'
import type { AttemptHandler, AttemptRequest, Cancel, Connected, Transport } from '../transport.ts'
import { resetSocket } from './answer.ts'
import { RuleFault } from './header-rules.ts'
import type { Switched } from './outlet.ts'
import type { AttemptNote } from './report.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Tunnel } from './tunnel.ts'

/** Who is told of an attempt, and decides. What `onHead` and `onSwitch` throw makes the attempt fail. */
export interface Course {
  onHints(headers: string[]): void
  onHead(one: Try, status: number, reason: string, headers: string[], resume: () => void): void
  /** The backend has switched protocols: what follows is for who takes the connection. */
  onSwitch(one: Try, switched: Switched): void
  onData(one: Try, chunk: Buffer): boolean
  onEnd(one: Try, trailers: string[]): void
  onFail(one: Try, failure: AttemptFailure): void
}

/** How many interim responses there may be before the response: some tell of progress, and none must do so without end. */
const mostInterim = 100

export class Try implements AttemptHandler, AttemptNote {
  readonly backend: BackendState
  readonly decision: Decision
  readonly startUs: number
  readonly #course: Course
  readonly #clock: Clock
  #cancel: Cancel | undefined
  #body: AttemptRequest['body']
  #over = false
  #interim = 0
  /** Runs until the head of the response comes, where an attempt has a time of its own. */
  #timer: Timer | undefined
  connected: Connected | undefined
  status: number | undefined
  headUs: number | undefined
  retryAfterMs: number | undefined
  result: AttemptResult | undefined
  detail: string | undefined
  endUs = 0
  place = -1

  constructor(course: Course, backend: BackendState, decision: Decision, clock: Clock) {
    this.#course = course
    this.#clock = clock
    this.backend = backend
    this.decision = decision
    this.startUs = clock.monoUs()
  }

  send(transport: Transport, request: AttemptRequest): void {
    this.#body = request.body
    const cancel = transport.send(request, this)
    // It may have failed at once, and another one may be under way already.
    if (!this.#over) this.#cancel = cancel
  }

  /** Fails it if no head of a response comes within this time. */
  limit(ms: number): void {
    const detail = `no response within ${ms} ms`
    this.#timer = this.#clock.after(ms, () =>
      this.fail({ result: 'try-timeout', sent: this.connected !== undefined, detail }),
    )
  }

  /** Has become a tunnel: it lasts as long as that. */
  carry(tunnel: Tunnel): void {
    this.#cancel = () => tunnel.breakOff('broken-off')
    tunnel.start()
  }

  /** Breaks it off; nothing is told of it any more. */
  cancel(): void {
    if (this.#over) return
    this.#cancel?.()
    this.#end()
  }

  /** Breaks it off, and tells the course that it failed: for who finds that out before the transport does. */
  fail(failure: AttemptFailure): void {
    if (this.#over) return
    this.cancel()
    this.#course.onFail(this, failure)
  }

  onConnected(facts: Connected): void {
    this.connected = facts
  }

  onInformation(status: number, headers: string[]): void {
    if (++this.#interim > mostInterim)
      return this.fail({ result: 'response-invalid', sent: true, detail: `more than ${mostInterim} interim responses` })
    if (status === 103) this.#course.onHints(headers)
  }

  onResponse(status: number, reason: string, headers: string[], resume: () => void): void {
    this.#head(status)
    if (status === 503 || status === 429) this.retryAfterMs = retryAfterMs(headers, this.#clock.now())
    this.#course.onHead(this, status, reason, headers, resume)
  }

  onUpgrade(headers: string[], socket: Duplex, head: Buffer): void {
    this.#head(101)
    socket.on('error', () => undefined)
    this.#cancel = () => resetSocket(socket)
    try {
      this.#course.onSwitch(this, { headers, socket, head })
    } catch (error) {
      const result = error instanceof RuleFault ? 'internal' : 'response-invalid'
      this.fail({ result, sent: true, detail: reasonOf(error) })
    }
  }

  onData(chunk: Buffer): boolean {
    return this.#course.onData(this, chunk)
  }

  onEnd(trailers: string[]): void {
    this.#end()
    this.#course.onEnd(this, trailers)
  }

  onFail(failure: AttemptFailure): void {
    this.#end()
    this.#course.onFail(this, failure)
  }

  #head(status: number): void {
    this.#timer?.cancel()
    this.status = status
    this.headUs = this.#clock.monoUs()
  }

  // What is left of the body nobody will ask for.
  #end(): void {
    this.#over = true
    this.#timer?.cancel()
    if (this.#body instanceof Readable) this.#body.destroy()
  }
}
