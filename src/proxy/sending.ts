// What is sent on of a request: its head as each backend gets it, its body, and a copy for a mirror where one is drawn.
import type { BackendState } from '../backend.ts'
import type { AttemptRequest } from '../transport.ts'
import { RequestBody } from './body.ts'
import type { OnBodyFault } from './body-watch.ts'
import type { Copy, Original } from './copy.ts'
import type { Admitted } from './gate.ts'
import type { Incoming } from './incoming.ts'
import type { Outgoing } from './outgoing.ts'
import type { Ports } from './ports.ts'
import type { Upgrading } from './upgrading.ts'
import type { RequestView } from './view.ts'

export interface SendingFacts {
  readonly incoming: Incoming
  readonly admitted: Admitted
  readonly outgoing: Outgoing
  readonly view: RequestView
  /** Called once where the body is too large or stalls: it is not read on. */
  readonly onBodyFault: OnBodyFault
  readonly upgrading: Upgrading | undefined
}

export class Sending {
  readonly #ports: Ports
  readonly #facts: SendingFacts
  #body: RequestBody | undefined
  #drawn = false
  #copy: Copy | undefined

  constructor(ports: Ports, facts: SendingFacts) {
    this.#ports = ports
    this.#facts = facts
  }

  /** Whether the body can be sent once more; and whether at the same time as it is sent already. */
  get replayable(): boolean {
    return this.#body?.replayable ?? true
  }

  get whole(): boolean {
    return this.#body?.whole ?? true
  }

  /** Bytes of the body so far. */
  get size(): number {
    return this.#facts.incoming.options.body?.length ?? this.#body?.size ?? 0
  }

  /** The request as this backend gets it, for an attempt that begins now. */
  requestFor(backend: BackendState): AttemptRequest {
    // Once, however often it is sent on.
    if (!this.#drawn && this.#facts.upgrading?.asked === undefined) this.#copy = this.#mirror()
    this.#drawn = true
    const body = this.#facts.incoming.options.body ?? this.#bodyOf(this.#facts.admitted)?.copy()
    return this.#madeFor(backend, body, this.#facts.upgrading?.asked)
  }

  /** No attempt will follow: nothing is kept for one any more. */
  free(): void {
    this.#body?.free()
  }

  /** Reads no more of the request. */
  close(): void {
    this.#body?.close()
  }

  /** The request is over. */
  end(): void {
    this.#body?.close()
    this.#copy?.abandon()
  }

  #madeFor({ config }: BackendState, body: AttemptRequest['body'], upgrade: string | undefined): AttemptRequest {
    const { admitted, incoming, outgoing } = this.#facts
    const { method = 'GET' } = incoming.request
    return {
      backend: config,
      method,
      path: outgoing.target,
      headers: outgoing.headersFor(config),
      body,
      repeatable: admitted.body === 'none' && this.#ports.further.repeats(method),
      upgrade,
      within: incoming.ambient?.within,
    }
  }

  #mirror(): Copy | undefined {
    const { mirrors } = this.#ports
    if (!mirrors.draws()) return undefined
    const { incoming, admitted, view } = this.#facts
    const { options, requestId } = incoming
    const length = options.body?.length ?? admitted.length
    const requestFor: Original['requestFor'] = (backend, body) => this.#madeFor(backend, body, undefined)
    return mirrors.copy({ requestId, view, length, given: options.body, requestFor })
  }

  #bodyOf({ body, length = 0 }: Admitted): RequestBody | undefined {
    if (body === 'none') return undefined
    if (this.#body !== undefined) return this.#body
    const { clock, further, limits, timeouts } = this.#ports
    const { incoming, onBodyFault: onFault } = this.#facts
    const most = further.keptBytes(incoming.request.method ?? '')
    const bounds = { clock, mostBytes: limits().bodyBytes, idleMs: timeouts().requestIdleMs, onFault }
    // What is known to be too long is not kept for a while first.
    this.#body = new RequestBody(incoming.request, length > most ? 0 : most, { tap: this.#copy, bounds })
    return this.#body
  }
}
