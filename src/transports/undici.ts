// The transport over undici: raw dispatch and raw header lists, one request per connection at a time.

import type { Dispatcher } from 'undici'
import { reasonOf } from '../errors.ts'
import type { AttemptHandler, AttemptRequest, Cancel, Transport } from '../transport.ts'
import { failureOf } from './failure.ts'
import { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { TransportSettings } from './settings.ts'
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
    send: (request, handler) => new Attempt(request, handler, pools.of(request.backend)).start(),
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
  #line: UndiciLine | undefined
  #leaveQueue: () => void = () => undefined
  #queueUs = 0
  #connected = false
  #responded = false
  #bodiless = false
  #over = false

  constructor(request: AttemptRequest, handler: AttemptHandler, pool: Pool<UndiciLine>) {
    this.#request = request
    this.#handler = handler
    this.#pool = pool
  }

  start(): Cancel {
    this.#leaveQueue = this.#pool.acquire({
      ready: (line, queueUs) => this.#dispatch(line, queueUs),
      fail: (result) => {
        this.#over = true
        this.#handler.onFail({ result, sent: false, detail: result })
      },
    })
    return () => this.#cancel()
  }

  #dispatch(line: UndiciLine, queueUs: number): void {
    this.#line = line
    this.#queueUs = queueUs
    const { backend, method, path, headers, body } = this.#request
    const options = {
      method: method as Dispatcher.HttpMethod,
      path,
      headers,
      body: body ?? null,
      // Without one undici would take the Host of the client for it, and dial anew whenever that changes.
      servername: backend.address,
      // undici would close the connection after each HEAD; llhttp knows that its response has no body.
      reset: false,
    }
    line.client.dispatch(
      options as unknown as Dispatcher.DispatchOptions,
      this as unknown as Dispatcher.DispatchHandler,
    )
  }

  // Called when the connection stands and the request is about to be written.
  onConnect(): void {
    const line = this.#line!
    this.#connected = true
    const reused = line.requests++ > 0
    this.#handler.onConnected({ reused, queueUs: this.#queueUs, connectUs: reused ? 0 : (line.connectUs ?? 0) })
  }

  onHeaders(status: number, raw: Buffer[], resume: () => void, reason: string): boolean {
    const headers = raw.map((part) => part.toString('latin1'))
    if (status >= 100 && status < 200) this.#handler.onInformation(status, headers)
    else {
      this.#bodiless = status === 204 || status === 304
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
    if (this.#line!.broken) return this.onError(new Error('reset'))
    this.#over = true
    this.#pool.release(this.#line!)
    this.#handler.onEnd((raw ?? []).map((part) => part.toString('latin1')))
  }

  onError(error: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#pool.discard(this.#line!)
    // undici misses the body whose length a 304 tells, and which never comes (RFC 9110 section 8.6).
    if (this.#bodiless && (error as { code?: unknown }).code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH') {
      this.#handler.onEnd([])
      return
    }
    this.#handler.onFail(failureOf(error, { connected: this.#connected, responded: this.#responded }))
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
