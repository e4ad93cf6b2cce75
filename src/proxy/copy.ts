// One copy of a request on its way to a mirror: it begins when the body is complete, and its response is read and dropped.
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { AttemptFailure, AttemptResult, Ending } from '../outcome.ts'
import type { PickRequest } from '../request.ts'
import type { AttemptHandler, AttemptRequest, Cancel, Connected, Transport } from '../transport.ts'
import type { BodyTap } from './body.ts'
import type { Breakable, Running } from './running.ts'

export interface CopyPorts {
  readonly clock: Clock
  /** One of the mirrors that is eligible and has room. */
  pick(request: PickRequest): BackendState | undefined
  /** Counts a copy in on a backend, and out again with how it went. */
  take(backend: BackendState): void
  release(backend: BackendState, ending: Ending): void
  transport(): Transport
  readonly running: Running
}

/** A request that is copied. */
export interface Original {
  readonly requestId: string
  readonly view: PickRequest
  /** Length of the body where it is known; 0 for none. */
  readonly length: number | undefined
  /** The body, where it is whole already. */
  readonly given: Buffer | undefined
  /** It as this backend would get it, with this body. */
  requestFor(backend: BackendState, body: Buffer | undefined): AttemptRequest
}

/** Why a request that was drawn was not copied. */
export type Skip = 'busy' | 'body-too-large' | 'body-incomplete' | 'no-backend'

/** What became of a copy. */
export interface CopyEnd {
  readonly backend?: string
  readonly result?: AttemptResult | 'closing'
  readonly status?: number | undefined
  readonly durationUs?: number
  readonly skipped?: Skip
}

export interface CopyLimits {
  readonly bodyBytes: number
  readonly timeoutMs: number
}

/** Tells the backend that nobody waits for its answer. We take it off what clients send. */
const mark = ['x-mirrored', '1']

export class Copy implements AttemptHandler, Breakable, BodyTap {
  readonly #original: Original
  readonly #limits: CopyLimits
  readonly #ports: CopyPorts
  readonly #onEnd: (end: CopyEnd) => void
  #kept: Buffer[] = []
  #size = 0
  #backend: BackendState | undefined
  #startUs = 0
  #headUs: number | undefined
  #status: number | undefined
  #timer: Timer | undefined
  #cancel: Cancel | undefined
  #over = false
  connected: Connected | undefined
  place = -1

  /** `onEnd` is called once. */
  constructor(original: Original, limits: CopyLimits, ports: CopyPorts, onEnd: (end: CopyEnd) => void) {
    this.#original = original
    this.#limits = limits
    this.#ports = ports
    this.#onEnd = onEnd
  }

  /** Sends it as soon as its body is whole; the request itself goes first. */
  start(): void {
    const { length, given } = this.#original
    if (length === 0 || given !== undefined) queueMicrotask(() => this.#send(given))
  }

  get backend(): BackendState {
    return this.#backend!
  }

  /** Takes a part of the body as it streams past. */
  onBodyData(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#over) return
    if (this.#size > this.#limits.bodyBytes) this.#skip('body-too-large')
    else this.#kept.push(chunk)
  }

  onBodyEnd(): void {
    this.#send(Buffer.concat(this.#kept))
  }

  /** Must be called when the request is over: what has not come of its body by then never will. */
  abandon(): void {
    if (this.#backend === undefined && !this.#over) this.#skip('body-incomplete')
  }

  #send(body: Buffer | undefined): void {
    if (this.#over) return
    const ports = this.#ports
    const { timeoutMs } = this.#limits
    const backend = ports.pick(this.#original.view)
    if (backend === undefined) return this.#skip('no-backend')
    this.#backend = backend
    this.#startUs = ports.clock.monoUs()
    this.#timer = ports.clock.after(timeoutMs, () => {
      const result = this.#status === undefined ? 'header-timeout' : 'body-timeout'
      this.fail({ result, sent: this.connected !== undefined, detail: `no end within ${timeoutMs} ms` })
    })
    ports.take(backend)
    ports.running.add(this)
    const request = this.#original.requestFor(backend, body)
    request.headers.push(...mark)
    const cancel = ports.transport().send(request, this)
    if (!this.#over) this.#cancel = cancel
  }

  /** Breaks it off because the balancer closes. */
  close(): void {
    if (this.#backend === undefined) return this.#skip('body-incomplete')
    this.#cancel?.()
    this.#end('internal', 'closing')
  }

  fail({ result }: AttemptFailure): void {
    this.#cancel?.()
    this.#end(result)
  }

  onConnected(facts: Connected): void {
    this.connected = facts
  }

  onInformation(): void {}

  onResponse(status: number): void {
    this.#status = status
    this.#headUs = this.#ports.clock.monoUs()
  }

  onData(): boolean {
    return true
  }

  onEnd(): void {
    this.#end('ok')
  }

  onFail({ result }: AttemptFailure): void {
    this.#end(result)
  }

  #skip(skipped: Skip): void {
    this.#over = true
    this.#kept = []
    this.#onEnd({ skipped })
  }

  #end(result: AttemptResult, told: CopyEnd['result'] = result): void {
    if (this.#over) return
    this.#over = true
    this.#kept = []
    this.#timer?.cancel()
    const endUs = this.#ports.clock.monoUs()
    this.#ports.running.delete(this)
    const latencyUs = (this.#headUs ?? endUs) - this.#startUs
    this.#ports.release(this.backend, { result, status: this.#status, startUs: this.#startUs, latencyUs })
    const durationUs = endUs - this.#startUs
    this.#onEnd({ backend: this.backend.config.id, result: told, status: this.#status, durationUs })
  }
}
