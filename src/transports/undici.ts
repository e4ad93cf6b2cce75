// The transport over undici: raw dispatch and raw header lists, one request per connection at a time.

import type { Dispatcher } from 'undici'
import { reasonOf } from '../errors.ts'
import type { AttemptHandler, AttemptRequest, Cancel, Transport } from '../transport.ts'
import { failureOf } from './failure.ts'
import { idleMsOf } from './idle.ts'
import { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import { tellsOfBody } from './raw.ts'
import { checkLength } from './send-body.ts'
import type { TransportSettings } from './settings.ts'
import { isStale } from './stale.ts'
import { dispatchTraced } from './trace-once.ts'
import { UndiciLine } from './undici-line.ts'

export function undiciTransport(settings: TransportSettings): Transport {
  const pools = new Pools(
    (backend) =>
      new Pool<UndiciLine>(
        (onClosed) => new UndiciLine(backend, settings, onClosed),
        settings.connections,
        settings.clock,
      ),
  )
  return {
    name: 'undici',
    send: (request, handler) =>
      new Attempt(request, handler, pools.of(request.backend), settings.connections.keepAliveMs).start(),
    forget: (backend) => pools.forget(backend),
    get isIdle() {
      return pools.isIdle
    },
    close: () => pools.close(),
  }
}

/** One attempt, in the form that undici 7 takes as a raw handler. */
class Attempt {
  readonly #request: AttemptRequest
  readonly #handler: AttemptHandler
  readonly #pool: Pool<UndiciLine>
  readonly #keepAliveMs: number
  #line: UndiciLine | undefined
  #leaveQueue: () => void = () => undefined
  #queueUs = 0
  #connected = false
  /** Whether a byte of a response has come. */
  #began = false
  #responded = false
  #reused = false
  /** How many connections turned out to have been closed by the backend before. */
  #stale = 0
  /** Whether one of them may have got the request all the same. */
  #sent = false
  /** For how long the connection may be idle after this. */
  #idleMs: number
  #bodiless = false
  #over = false

  constructor(request: AttemptRequest, handler: AttemptHandler, pool: Pool<UndiciLine>, keepAliveMs: number) {
    this.#request = request
    this.#handler = handler
    this.#pool = pool
    this.#keepAliveMs = keepAliveMs
    this.#idleMs = keepAliveMs
  }

  start(): Cancel {
    const settle = {
      ready: (line: UndiciLine, queueUs: number) => this.#dispatch(line, queueUs),
      fail: (result: 'queue-full' | 'queue-timeout' | 'internal') => {
        this.#over = true
        this.#handler.onFail({ result, sent: false, detail: result })
      },
    }
    this.#leaveQueue = this.#pool.acquire(settle, this.#request.repeatable ? 'any' : 'young')
    return () => this.#cancel()
  }

  #dispatch(line: UndiciLine, queueUs: number): void {
    this.#line = line
    this.#queueUs = queueUs
    this.#reused = line.isOpen
    const { backend, method, path, headers, body } = this.#request
    try {
      checkLength(headers, body)
    } catch (error) {
      this.#over = true
      this.#pool.release(line)
      this.#handler.onFail({ result: 'internal', sent: false, detail: reasonOf(error) })
      return
    }
    const options = {
      method: method as Dispatcher.HttpMethod,
      path,
      headers,
      body: body ?? null,
      // Without one undici would take the Host of the client for it, and dial anew whenever that changes.
      servername: backend.address,
      // undici would close the connection after each HEAD.
      reset: false,
    }
    const handler = this as unknown as Dispatcher.DispatchHandler
    dispatchTraced(this.#request, () => line.client.dispatch(options as unknown as Dispatcher.DispatchOptions, handler))
  }

  // Called when the connection stands and the request is about to be written.
  onConnect(): void {
    const line = this.#line!
    const reused = line.requests++ > 0
    // undici itself dials anew where it finds a connection closed before it has written anything.
    if (this.#reused && !reused) this.#stale++
    this.#reused = reused
    this.#connected = true
    this.#handler.onConnected({
      reused,
      queueUs: this.#queueUs,
      connectUs: reused ? 0 : (line.connectUs ?? 0),
      stale: this.#stale,
      peerAddress: line.peerAddress,
    })
  }

  onResponseStarted(): void {
    this.#began = true
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, reason: string): boolean {
    const headers = raw.map((part) => part.toString('latin1'))
    for (let i = 0; i < headers.length; i += 2)
      if (headers[i]!.length === 10 && headers[i]!.toLowerCase() === 'keep-alive')
        this.#idleMs = idleMsOf(headers[i + 1], this.#keepAliveMs)
    if (status >= 100 && status < 200) this.#handler.onInformation(status, headers)
    else {
      this.#bodiless = status === 204 || status === 304
      if (this.#request.method === 'HEAD' && tellsOfBody(headers)) this.#idleMs = 0
      this.#responded = true
      this.#guard(() => this.#handler.onResponse(status, reason, headers, resume))
    }
    return !this.#over
  }

  onData(chunk: Buffer): boolean {
    return this.#over ? false : this.#handler.onData(chunk)
  }

  onComplete(raw: Buffer[] | null): void {
    if (this.#over) return
    // undici takes a reset for the end of a body that the end of its connection delimits: that is a cut.
    if (this.#line!.fault !== undefined) return this.onError(new Error('reset'))
    this.#over = true
    this.#pool.release(this.#line!, this.#idleMs)
    this.#handler.onEnd((raw ?? []).map((part) => part.toString('latin1')))
  }

  onError(error: unknown): void {
    if (this.#over) return
    const line = this.#line!
    // An alert of TLS is followed by the end of the connection, which is all that undici tells.
    const cause = (error as { code?: unknown }).code === 'UND_ERR_SOCKET' ? (line.fault ?? error) : error
    const failure = failureOf(cause, { connected: this.#connected, responded: this.#responded })
    if (isStale({ reused: this.#connected && this.#reused, began: this.#began, result: failure.result })) {
      if (this.#request.repeatable) return this.#again(line)
      this.#pool.stale(line)
    }
    this.#over = true
    // What undici refuses it has not begun to write: the connection is as good as it was.
    if (!this.#connected && line.isOpen) this.#pool.release(line)
    else this.#pool.discard(line)
    // undici misses the body whose length a 304 tells, and which never comes (RFC 9110 section 8.6).
    if (this.#bodiless && (error as { code?: unknown }).code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
      this.#handler.onEnd([])
      return
    }
    this.#handler.onFail(this.#sent ? { ...failure, sent: true } : failure)
  }

  // Within the same attempt: it is no fault of the backend that a connection was idle for too long.
  #again(line: UndiciLine): void {
    const fresh = this.#pool.renew(line)
    this.#stale++
    this.#sent = true
    this.#connected = false
    if (fresh !== undefined) return this.#dispatch(fresh, this.#queueUs)
    this.#over = true
    this.#handler.onFail({ result: 'internal', sent: true, detail: 'closing' })
  }

  // What a response makes our side throw is told as the fault that it is, and costs the connection, not the process.
  #guard(act: () => void): void {
    try {
      act()
    } catch (error) {
      this.#cancel()
      this.#handler.onFail({ result: 'response-invalid', sent: true, detail: reasonOf(error) })
    }
  }

  #cancel(): void {
    if (this.#over) return
    this.#over = true
    this.#leaveQueue()
    if (this.#line !== undefined) this.#pool.discard(this.#line)
  }
}
