// One attempt over a socket of its own: the request is written, and the response read, without a client in between.
import { reasonOf } from '../errors.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { AttemptHandler, AttemptRequest, Cancel } from '../transport.ts'
import { headOf, type Sender, type SentBody, writeRequest } from './direct-message.ts'
import { failureOf, lateFailure } from './failure.ts'
import type { Carried, HttpLine } from './http-line.ts'
import { idleMsOf } from './idle.ts'
import type { InNextPhase, Writer } from './next-phase.ts'
import type { Pool } from './pool.ts'
import { ParseFault, type ResponseHead } from './response-head.ts'
import { ResponseParser, type ResponseSink } from './response-parser.ts'
import type { TransportSettings } from './settings.ts'
import { isStale } from './stale.ts'

export class DirectAttempt implements Carried, ResponseSink, Sender, Writer {
  readonly #request: AttemptRequest
  readonly #handler: AttemptHandler
  readonly #lines: Pool<HttpLine>
  readonly #settings: TransportSettings
  readonly #inNextPhase: InNextPhase
  readonly #parser: ResponseParser
  #head = ''
  #leaveQueue: (() => void) | undefined
  #queueUs = 0
  #line: HttpLine | undefined
  #body: SentBody | undefined
  /** Whether the request is on its way. */
  #written = false
  #responded = false
  #paused = false
  /** What the connection has ended by, where what came before is not read yet. */
  #cut: Error | undefined
  /** Connections that turned out to be closed; and whether one of them may have got the request. */
  #stale = 0
  #sent = false
  #over = false

  constructor(
    request: AttemptRequest,
    handler: AttemptHandler,
    lines: Pool<HttpLine>,
    settings: TransportSettings,
    inNextPhase: InNextPhase,
  ) {
    this.#request = request
    this.#handler = handler
    this.#lines = lines
    this.#settings = settings
    this.#inNextPhase = inNextPhase
    this.#parser = new ResponseParser(this, request.method === 'HEAD')
  }

  start(): Cancel {
    try {
      this.#head = headOf(this.#request)
      this.#leaveQueue = this.#lines.acquire(this, this.#request.repeatable ? 'any' : 'young')
    } catch (error) {
      this.#fail({ result: 'internal', sent: false, detail: reasonOf(error) })
    }
    return this.#cancel
  }

  readonly #cancel = (): void => {
    if (this.#over) return
    this.#over = true
    this.#leaveQueue?.()
    this.#discard()
  }

  /** For the pool. */
  ready(line: HttpLine, queueUs: number): void {
    this.#queueUs = queueUs
    this.#begin(line)
  }

  /** For the pool: there is no connection to be had. */
  fail(result: 'queue-full' | 'queue-timeout' | 'internal'): void {
    this.#fail({ result, sent: false, detail: result })
  }

  #begin(line: HttpLine): void {
    this.#line = line
    if (line.socket !== undefined) {
      line.take(this)
      // What has come for an idle connection in the same turn is told before this is written: bytes that nobody asked for must
      // not answer it, and an end means another connection.
      return this.#inNextPhase(this)
    }
    line.open((error) => {
      if (this.#line !== line) return
      if (error !== undefined) return this.#failed(line, error)
      line.take(this)
      this.write()
    })
  }

  /** Sends the request on the connection that it has. */
  write(): void {
    const line = this.#line
    const socket = line?.socket
    // It may be over meanwhile, or wait for another connection.
    if (line === undefined || socket === undefined || this.#written) return
    if (!line.isOpen) return this.#replace(line)
    this.#written = true
    try {
      this.#handler.onConnected(line.connected(this.#queueUs, this.#stale))
    } catch (error) {
      return this.#fail({ result: 'internal', sent: true, detail: reasonOf(error) })
    }
    if (this.#over) return
    this.#await()
    this.#body = writeRequest(socket, this.#head, this.#request, this)
  }

  onBodyFault(failure: AttemptFailure): void {
    this.#fail(failure)
  }

  onBodyEnd(): void {
    if (!this.#responded && !this.#over) this.#await()
  }

  onData(line: HttpLine, chunk: Buffer): void {
    if (line !== this.#line) return
    // Before it was asked: that answers nobody.
    if (!this.#written) return this.#replace(line)
    this.#read(chunk)
  }

  /** Reads on; without a chunk, what is there already. */
  #read(chunk: Buffer | undefined): void {
    try {
      this.#parser.read(chunk)
      if (this.#over) return
      if (this.#parser.done) this.#ended()
      else if (this.#responded) this.#await()
    } catch (error) {
      // Of an attempt that is over nobody is left to be told.
      const isResponse = error instanceof ParseFault || !this.#responded
      return this.#fail({ result: isResponse ? 'response-invalid' : 'internal', sent: true, detail: reasonOf(error) })
    }
  }

  onInterim({ status, headers }: ResponseHead): void {
    if (status !== 100 && !this.#over) this.#handler.onInformation(status, headers)
  }

  onHead({ status, reason, headers }: ResponseHead): void {
    // What was broken off meanwhile is read to the end of what has come, and told to nobody.
    if (this.#over) return
    this.#handler.onResponse(status, reason, headers, this.#resume)
    this.#responded = true
  }

  onBody(chunk: Buffer): boolean {
    if (this.#over) return false
    if (this.#handler.onData(chunk)) return !this.#over
    this.#paused = !this.#over
    if (this.#paused) this.#line!.socket!.pause()
    return false
  }

  readonly #resume = (): void => {
    const line = this.#line
    if (line === undefined || !this.#paused) return
    this.#paused = false
    line.socket!.resume()
    this.#read(undefined)
    if (this.#cut !== undefined && !this.#paused) this.#failed(line, this.#cut)
  }

  #ended(): void {
    const line = this.#line!
    const { keepAlive, reusable, trailers } = this.#parser
    const stays = reusable && (this.#body === undefined || this.#body.ended)
    const restMs = stays ? idleMsOf(keepAlive, this.#settings.connections.keepAliveMs) : 0
    this.#over = true
    this.#line = undefined
    this.#body?.leave()
    if (this.#paused) line.socket!.resume()
    // From now on it may carry somebody else's request.
    if (restMs > 0 && line.isOpen) {
      line.rest(restMs)
      this.#lines.release(line, restMs)
    } else this.#lines.discard(line)
    this.#handler.onEnd(trailers)
  }

  onOver(line: HttpLine, error: Error | undefined): void {
    if (line !== this.#line) return
    if (!this.#written) return this.#replace(line)
    if (error === undefined) this.#parser.end()
    const cut = error ?? new Error('closed')
    if (this.#parser.done) this.#read(undefined)
    else if (this.#paused && this.#parser.holds) this.#cut ??= cut
    else this.#failed(line, cut)
  }

  onDue(line: HttpLine): void {
    if (line !== this.#line) return
    // While the client is what it waits for, the backend is not late; nor is it while we do not read.
    if (this.#paused || this.#body?.waitsForClient === true) this.#await()
    else this.#fail(lateFailure(this.#responded, this.#settings.timeouts))
  }

  #await(): void {
    const { headerMs, bodyIdleMs } = this.#settings.timeouts
    this.#line!.await(this.#responded ? bodyIdleMs : headerMs)
  }

  #failed(line: HttpLine, error: unknown): void {
    if (line.closed) return this.#fail({ result: 'internal', sent: this.#written, detail: 'the transport was closed' })
    const failure = failureOf(error, { connected: this.#written, responded: this.#responded })
    const reused = this.#written && line.requests > 1
    if (!isStale({ reused, began: this.#parser.began, result: failure.result })) return this.#fail(failure)
    this.#lines.stale(line)
    if (!this.#request.repeatable) return this.#fail(failure)
    // Within the same attempt: it is no fault of the backend that a connection was idle for too long.
    this.#sent = true
    this.#written = false
    this.#replace(line)
  }

  #replace(line: HttpLine): void {
    this.#line = undefined
    const fresh = line.closed ? undefined : this.#lines.renew(line)
    this.#stale++
    if (fresh !== undefined) return this.#begin(fresh)
    this.#fail({ result: 'internal', sent: false, detail: 'the transport was closed' })
  }

  #fail(failure: AttemptFailure): void {
    if (this.#over) return
    this.#over = true
    this.#discard()
    try {
      this.#handler.onFail(this.#sent ? { ...failure, sent: true } : failure)
    } catch {
      // It is over.
    }
  }

  #discard(): void {
    const line = this.#line
    this.#line = undefined
    this.#body?.leave()
    if (line !== undefined) this.#lines.discard(line)
  }
}
