// One attempt over `node:http`.
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { AttemptHandler, AttemptRequest, Cancel } from '../transport.ts'
import { failureOf, lateFailure } from './failure.ts'
import type { Carried, HttpLine } from './http-line.ts'
import { abandon, newMessage, restOf, switchFault } from './http-message.ts'
import type { InNextPhase } from './next-phase.ts'
import { BodySender } from './send-body.ts'
import type { TransportSettings } from './settings.ts'
import type { Lines } from './singles.ts'
import { isStale } from './stale.ts'
import { takeIdle } from './take-idle.ts'
import { Teller } from './teller.ts'

export class HttpAttempt implements Carried {
  readonly #request: AttemptRequest
  readonly #lines: Lines
  readonly #settings: TransportSettings
  readonly #inNextPhase: InNextPhase
  readonly #teller: Teller
  #leaveQueue: () => void = () => undefined
  #queueUs = 0
  #line: HttpLine | undefined
  #message: ClientRequest | undefined
  #response: IncomingMessage | undefined
  #body: BodySender | undefined
  /** Whether the request has its socket. */
  #carried = false
  /** What the socket had read before this request. */
  #readBefore = 0
  /** Connections that turned out to be closed; and whether one of them may have got the request. */
  #stale = 0
  #sent = false
  #paused = false
  /** Whether bytes came that belong to no response: whatever they are, they must not answer the next request. */
  #spoiled = false

  constructor(
    request: AttemptRequest,
    handler: AttemptHandler,
    lines: Lines,
    settings: TransportSettings,
    inNextPhase: InNextPhase,
  ) {
    this.#request = request
    this.#lines = lines
    this.#settings = settings
    this.#inNextPhase = inNextPhase
    this.#teller = new Teller(handler, () => this.#discard())
  }

  start(): Cancel {
    const ready = (line: HttpLine, queueUs: number): void => {
      this.#queueUs = queueUs
      this.#begin(line)
    }
    const fail = (result: AttemptFailure['result']): void => this.#teller.fail({ result, sent: false, detail: result })
    this.#leaveQueue = this.#lines.acquire({ ready, fail }, this.#request.repeatable ? 'any' : 'young')
    return () => {
      if (this.#teller.over) return
      this.#teller.over = true
      this.#leaveQueue()
      this.#discard()
    }
  }

  #begin(line: HttpLine): void {
    try {
      // The one that could not be written to a connection that was idle is still good.
      this.#message ??= newMessage(this.#request)
    } catch (error) {
      this.#lines.release(line)
      return this.#teller.fail({ result: 'internal', sent: false, detail: reasonOf(error) })
    }
    this.#line = line
    if (line.socket !== undefined)
      return takeIdle(line, this.#inNextPhase, (isGood) => {
        if (this.#line === line) isGood ? this.#carry(line) : this.#again(line)
      })
    line.open((error) => {
      if (this.#line === line) error === undefined ? this.#carry(line) : this.#failed(error)
    })
  }

  #carry(line: HttpLine): void {
    const message = this.#message!
    const socket = line.take(this)
    this.#carried = true
    this.#readBefore = socket.bytesRead
    this.#listen(message)
    message.onSocket(socket)
    this.#teller.connected(line.connected(this.#queueUs, this.#stale))
    if (this.#teller.over) return
    this.#await()
    this.#sendBody(message)
  }

  #listen(message: ClientRequest): void {
    message.on('response', (response) => this.#responded(response))
    message.on('upgrade', (response, _socket, head) => this.#switched(response, head))
    message.on('information', ({ statusCode, rawHeaders }) => {
      if (statusCode !== 100) this.#teller.information(statusCode, rawHeaders)
    })
    message.on('error', (error) => {
      // What follows a whole response is for nobody: the connection is not used again.
      if (message === this.#message && this.#response?.complete !== true) this.#failed(error)
    })
  }

  #sendBody(message: ClientRequest): void {
    const { body, headers } = this.#request
    if (!(body instanceof Readable)) {
      message.end(body)
      return
    }
    this.#body = new BodySender(body, headers, message, (failure) => this.#fail(failure))
    // A backend can answer to the head alone.
    if (body.readableLength === 0) message.flushHeaders()
    message.on('finish', () => {
      if (this.#response === undefined && !this.#teller.over) this.#await()
    })
  }

  #await(): void {
    const { headerMs, bodyIdleMs } = this.#settings.timeouts
    this.#line!.await(this.#response === undefined ? headerMs : bodyIdleMs)
  }

  /** For the connection: called before Node's parser sees the bytes, which may drop those that it has not asked for. */
  onData(): void {
    if (this.#response?.complete === true) this.#spoiled = true
  }

  /** For the connection. */
  onDue(): void {
    // While the client is what it waits for, the backend is not late; nor is it while we do not read.
    if (this.#paused || this.#body?.waitsForClient === true) this.#await()
    else this.#fail(lateFailure(this.#response !== undefined, this.#settings.timeouts))
  }

  #responded(response: IncomingMessage): void {
    if (this.#teller.over) return
    // What Node does not take for a switch of protocols lacks the headers of one.
    if (response.statusCode === 101) return this.#invalid('a switch of protocols without its headers')
    this.#response = response
    response.on('error', (error) => this.#failed(error))
    response.on('data', (chunk: Buffer) => {
      if (this.#teller.over) return
      this.#await()
      if (this.#teller.data(chunk)) return
      this.#paused = true
      response.pause()
    })
    response.on('end', () => this.#ended(response))
    response.on('close', () => {
      if (!response.complete) this.#failed(new Error('closed'))
    })
    this.#await()
    const { statusCode = 0, statusMessage = '', rawHeaders } = response
    this.#teller.response(statusCode, statusMessage, rawHeaders, () => {
      if (this.#teller.over || !this.#paused) return
      this.#paused = false
      this.#await()
      response.resume()
    })
  }

  #ended(response: IncomingMessage): void {
    // A body that was cut ends too, where its own end is the connection's.
    if (this.#teller.over || !response.complete) return
    const line = this.#line!
    const message = this.#message!
    this.#body?.stop()
    const restMs = restOf(message, response, this.#settings.connections.keepAliveMs)
    // From now on it may carry somebody else's request.
    this.#line = undefined
    if (restMs > 0 && line.isOpen && !this.#spoiled) {
      line.rest(restMs)
      this.#lines.release(line, restMs)
    } else this.#lines.discard(line)
    this.#teller.end(response.rawTrailers)
  }

  #switched(response: IncomingMessage, head: Buffer): void {
    if (this.#teller.over) return
    const fault = switchFault(response, this.#request.upgrade)
    if (fault !== undefined) return this.#invalid(fault)
    const line = this.#line!
    const socket = line.detach()
    this.#lines.release(line)
    this.#teller.upgrade(response.rawHeaders, socket, head)
  }

  #invalid(detail: string): void {
    this.#fail({ result: 'response-invalid', sent: true, detail })
  }

  #failed(error: unknown): void {
    const line = this.#line
    if (this.#teller.over || line === undefined) return
    if (line.closed) return this.#fail({ result: 'internal', sent: this.#carried, detail: 'the transport was closed' })
    const failure = failureOf(error, { connected: this.#carried, responded: this.#response !== undefined })
    const began = line.socket?.bytesRead !== this.#readBefore
    if (isStale({ reused: this.#carried && line.requests > 1, began, result: failure.result })) {
      if (this.#request.repeatable) return this.#again(line)
      this.#lines.stale(line)
    }
    this.#fail(this.#sent ? { ...failure, sent: true } : failure)
  }

  // Within the same attempt: it is no fault of the backend that a connection was idle for too long.
  #again(line: HttpLine): void {
    this.#sent ||= this.#carried
    this.#line = undefined
    if (this.#carried) this.#message = undefined
    this.#carried = false
    this.#stale++
    const fresh = line.closed ? undefined : this.#lines.renew(line)
    if (fresh !== undefined) return this.#begin(fresh)
    this.#fail({ result: 'internal', sent: this.#sent, detail: 'the transport was closed' })
  }

  #fail(failure: AttemptFailure): void {
    if (this.#teller.over) return
    this.#discard()
    this.#teller.fail(failure)
  }

  /** Frees what carries the attempt. What comes of that concerns nobody any more. */
  #discard(): void {
    const [line, message] = [this.#line, this.#message]
    const carried = this.#carried
    this.#line = undefined
    this.#message = undefined
    this.#carried = false
    this.#body?.stop()
    if (message !== undefined && !carried) abandon(message, new Error('the request was not sent'))
    if (line !== undefined) this.#lines.discard(line)
  }
}
