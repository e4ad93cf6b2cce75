// One attempt over HTTP/2: a stream of a session.
import { STATUS_CODES } from 'node:http'
import { type ClientHttp2Stream, constants, type IncomingHttpHeaders } from 'node:http2'
import { Readable } from 'node:stream'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { AttemptHandler, AttemptRequest, Cancel } from '../transport.ts'
import { Deadline } from './deadline.ts'
import { failureOfStream } from './http2-failure.ts'
import { fieldsOf, headOf } from './http2-head.ts'
import type { Http2Pool } from './http2-pool.ts'
import type { Http2Session } from './http2-session.ts'
import { valueIn } from './raw.ts'
import { BodySender, checkLength } from './send-body.ts'
import type { TransportSettings } from './settings.ts'
import { Teller } from './teller.ts'

const { NGHTTP2_CANCEL, NGHTTP2_NO_ERROR } = constants

export class Http2Attempt {
  readonly #request: AttemptRequest
  readonly #pool: Http2Pool
  readonly #settings: TransportSettings
  readonly #teller: Teller
  readonly #deadline: Deadline
  #leaveQueue: () => void = () => undefined
  #queueUs = 0
  #session: Http2Session | undefined
  #stream: ClientHttp2Stream | undefined
  /** Breaks off a stream whose body is not whole: to close it otherwise would end the body first, as if it were. */
  #abort: AbortController | undefined
  #body: BodySender | undefined
  #reused = false
  #stale = 0
  #responded = false
  /** Of the response's body, by its head. */
  #length: number | undefined
  #size = 0
  #trailers: string[] = []
  #paused = false

  constructor(request: AttemptRequest, handler: AttemptHandler, pool: Http2Pool, settings: TransportSettings) {
    this.#request = request
    this.#pool = pool
    this.#settings = settings
    this.#deadline = new Deadline(settings.clock)
    this.#teller = new Teller(handler, () => this.#discard())
  }

  start(): Cancel {
    this.#acquire()
    return () => {
      if (this.#teller.over) return
      this.#teller.over = true
      this.#leaveQueue()
      this.#discard()
    }
  }

  #acquire(): void {
    this.#leaveQueue = this.#pool.acquire({
      ready: (session, queueUs) => {
        this.#queueUs += queueUs
        this.#begin(session)
      },
      fail: (failure) => this.#teller.fail(failure),
    })
  }

  #begin(session: Http2Session): void {
    const { body, headers } = this.#request
    let stream: ClientHttp2Stream
    try {
      checkLength(headers, body)
      if (body instanceof Readable) this.#abort = new AbortController()
      const signal = this.#abort === undefined ? {} : { signal: this.#abort.signal }
      stream = session.client.request(headOf(this.#request), { endStream: body === undefined, ...signal })
    } catch (error) {
      this.#pool.release(session)
      return this.#teller.fail({ result: 'internal', sent: false, detail: reasonOf(error) })
    }
    this.#session = session
    this.#stream = stream
    this.#listen(stream, session)
    this.#reused = session.count()
    this.#teller.connected({
      reused: this.#reused,
      queueUs: this.#queueUs,
      connectUs: this.#reused ? 0 : session.connectUs,
      ...(this.#stale > 0 && { stale: this.#stale }),
      peerAddress: session.peerAddress,
    })
    if (this.#teller.over) return
    this.#awaitHead()
    if (body instanceof Readable) this.#body = new BodySender(body, headers, stream, (failure) => this.#fail(failure))
    else if (body !== undefined) stream.end(body)
  }

  #listen(stream: ClientHttp2Stream, session: Http2Session): void {
    type OnHead = (head: IncomingHttpHeaders, flags: number, raw: string[]) => void
    const onHead = (event: string, listener: OnHead): void =>
      void stream.on(event, (head, flags, raw) => {
        if (stream === this.#stream) listener(head, flags, raw)
      })
    onHead('headers', (head, _flags, raw) => {
      const status = Number(head[':status'])
      if (status === 101)
        this.#fail({ result: 'response-invalid', sent: true, detail: 'a switch of protocols, which HTTP/2 has not' })
      else if (status !== 100) this.#teller.information(status, fieldsOf(raw))
    })
    onHead('response', (head, _flags, raw) => this.#onResponse(stream, Number(head[':status']), fieldsOf(raw)))
    onHead('trailers', (_head, _flags, raw) => {
      this.#trailers = fieldsOf(raw)
    })
    stream.on('data', (chunk: Buffer) => this.#onData(stream, chunk))
    stream.on('end', () => this.#onEnd(stream))
    // `close` follows, and tells why.
    stream.on('error', () => undefined)
    stream.on('close', () => {
      this.#pool.release(session)
      if (stream === this.#stream) this.#failed(stream, session)
    })
    stream.on('finish', () => {
      if (stream === this.#stream && !this.#responded) this.#awaitHead()
    })
  }

  #awaitHead(): void {
    const { headerMs } = this.#settings.timeouts
    this.#deadline.set(headerMs, () => {
      // While the client is what it waits for, the backend is not late.
      if (this.#body?.waitsForClient === true) return this.#awaitHead()
      this.#session?.probe()
      this.#fail({ result: 'header-timeout', sent: true, detail: `no response within ${headerMs} ms` })
    })
  }

  #awaitData(): void {
    const { bodyIdleMs } = this.#settings.timeouts
    this.#deadline.set(bodyIdleMs, () => {
      if (this.#paused) return this.#awaitData()
      this.#session?.probe()
      this.#fail({ result: 'body-timeout', sent: true, detail: `nothing came for ${bodyIdleMs} ms` })
    })
  }

  #onResponse(stream: ClientHttp2Stream, status: number, headers: string[]): void {
    this.#responded = true
    const bodiless = this.#request.method === 'HEAD' || status === 204 || status === 304
    const length = bodiless ? undefined : valueIn(headers, 'content-length')
    this.#length = length === undefined ? undefined : Number(length)
    this.#awaitData()
    // There are no reason phrases in HTTP/2: a client of HTTP/1.1 gets the usual one.
    this.#teller.response(status, STATUS_CODES[status] ?? '', headers, () => {
      if (this.#teller.over || !this.#paused) return
      this.#paused = false
      this.#awaitData()
      stream.resume()
    })
  }

  #onData(stream: ClientHttp2Stream, chunk: Buffer): void {
    if (stream !== this.#stream || this.#teller.over) return
    this.#size += chunk.length
    this.#awaitData()
    if (this.#teller.data(chunk)) return
    this.#paused = true
    stream.pause()
  }

  #onEnd(stream: ClientHttp2Stream): void {
    if (stream !== this.#stream) return
    // A stream that is reset, or whose session is gone, ends too: `close` tells why.
    const cut = stream.destroyed || stream.rstCode !== NGHTTP2_NO_ERROR
    const short = this.#length !== undefined && this.#length !== this.#size
    if (cut || short || !this.#responded) {
      stream.destroy()
      return
    }
    // Nobody wants the rest of the request.
    if (stream.writableFinished) this.#stream = undefined
    this.#discard()
    this.#teller.end(this.#trailers)
  }

  #failed(stream: ClientHttp2Stream, session: Http2Session): void {
    if (this.#teller.over) return
    if (session.closed) return this.#fail({ result: 'internal', sent: true, detail: 'the transport was closed' })
    const failure = failureOfStream(stream, session, this.#responded)
    if (this.#isStale(session, stream)) {
      this.#stale++
      this.#discard()
      return this.#acquire()
    }
    this.#fail(failure)
  }

  // The connection went while the request was on its way: it may be sent once more, on another one.
  #isStale(session: Http2Session, { id }: ClientHttp2Stream): boolean {
    return this.#request.repeatable && this.#reused && this.#stale === 0 && !this.#responded && session.hasLost(id)
  }

  #fail(failure: AttemptFailure): void {
    if (this.#teller.over) return
    this.#discard()
    this.#teller.fail(failure)
  }

  /** Ends the stream, and leaves the session to the others. */
  #discard(): void {
    const stream = this.#stream
    this.#stream = undefined
    this.#session = undefined
    this.#deadline.end()
    this.#body?.stop()
    if (stream === undefined) return
    if (this.#abort === undefined) stream.close(NGHTTP2_CANCEL)
    else this.#abort.abort()
    // One that had ended meanwhile would not close by that.
    stream.destroy()
  }
}
