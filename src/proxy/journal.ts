// The journal of one request: what is known of it so far, and its record, written exactly once.
import type { ServerResponse } from 'node:http'
import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import { type Level, type Ticket, type TrafficName, unrecorded } from '../events.ts'
import type { AttemptResult, RequestResult, RetryDenial } from '../outcome.ts'
import type { Incoming } from './incoming.ts'
import type { OpenRequest } from './open-requests.ts'
import type { Ports } from './ports.ts'
import { type AttemptNote, completedFields, pathIn, receivedFields, type TunnelReport } from './report.ts'
import type { Breakable } from './running.ts'

/**
 * Several attempts may be open at once; each is ended once, and all are before the request is recorded. The pick that counts,
 * and the times, are those of the attempt that won; where none did, those of the last one.
 */
export class Journal implements OpenRequest {
  readonly #ports: Ports
  readonly #facts: Incoming
  readonly #response: ServerResponse | undefined
  readonly startUs: number
  older: OpenRequest | undefined
  newer: OpenRequest | undefined
  #attempts: AttemptNote[] = []
  #won: AttemptNote | undefined
  #recorded = false
  /** The line that tells that it came in, once one does. */
  #told: Ticket | undefined
  /** The last pick that found nobody: it counts if there is no attempt. */
  none: Decision | undefined
  /** How long it waited for a backend with room, in all. */
  waitedUs = 0
  result: RequestResult | undefined
  detail: string | undefined
  /** Whether the host answers it by itself, without a hop. */
  byHost = false
  /** Path and query as backends are asked, where the request came that far. */
  target: string | undefined
  /** What the tunnel carried that it became, once that is over. */
  tunnel: TunnelReport | undefined
  /** Why no retry followed the attempt that failed last, where one failed last. */
  retryDenied: RetryDenial | undefined

  /** `response` is what the client gets, where Node writes it. */
  constructor(ports: Ports, facts: Incoming, response?: ServerResponse) {
    this.#ports = ports
    this.#facts = facts
    this.#response = response
    this.startUs = ports.clock.monoUs()
    const { handedOver } = facts.options
    if (handedOver?.ports === ports) this.#told = handedOver.told
    if (this.#told === undefined) ports.open.add(this)
    facts.options.onId?.(facts.requestId)
  }

  fail(result: Exclude<RequestResult, 'ok'>, detail: string | undefined): void {
    this.result = result
    this.detail = detail
  }

  began(attempt: AttemptNote & Breakable): void {
    this.#ports.running.add(attempt)
    if (this.#attempts.length === 0) this.#attempts = [attempt]
    else this.#attempts.push(attempt)
  }

  won(attempt: AttemptNote): void {
    this.#won = attempt
  }

  /** Ends an attempt and gives its backend back. */
  ended(attempt: AttemptNote & Breakable, result: AttemptResult, detail: string | undefined): void {
    this.#ports.running.delete(attempt)
    attempt.result = result
    attempt.detail = detail
    attempt.endUs = this.#ports.clock.monoUs()
    this.#ports.release(attempt.backend, {
      result,
      status: attempt.status,
      startUs: attempt.startUs,
      latencyUs: (attempt.headUs ?? attempt.endUs) - attempt.startUs,
      retryAfterMs: attempt.retryAfterMs,
    })
  }

  /** Records that the request came in, once. `openUs`: how long ago, where that is why. */
  received(openUs?: number): Ticket {
    this.#told ??= this.#tellReceived(openUs)
    return this.#told
  }

  #tellReceived(openUs: number | undefined): Ticket {
    this.#ports.open.delete(this)
    const level = this.#level('request.received', undefined, undefined, false)
    if (level === 'none') return unrecorded
    const extent = { level, target: this.target }
    return this.#ports.emit('request.received', receivedFields(this.#facts, extent, openUs, this.#ports))
  }

  stillOpen(openUs: number): void {
    this.received(openUs)
  }

  /** It is somebody else's: nothing more is recorded of it here. Returns the line that tells that it came in. */
  drop(): Ticket | undefined {
    this.#recorded = true
    this.#ports.open.delete(this)
    return this.#told
  }

  get #path(): string {
    return pathIn(this.target ?? this.#facts.options.target ?? this.#facts.target)
  }

  #level(name: TrafficName, status: number | undefined, result: string | undefined, failed: boolean): Level {
    const { levelOf } = this.#ports
    if (levelOf === undefined) return 'headers'
    const { requestId: id, request, client } = this.#facts
    const { method = '' } = request
    return levelOf(name, { id, method, path: this.#path, client: client.address, status, result, failed })
  }

  #enriched(status: number | undefined, result: string) {
    const { enrich } = this.#ports
    if (enrich === undefined) return undefined
    const { requestId, request, client, options } = this.#facts
    const { appRequest = request } = options as { readonly appRequest?: object }
    const { method = '' } = request
    return enrich({
      request,
      appRequest: appRequest as Readonly<Record<string, unknown>>,
      requestId,
      method,
      path: this.#path,
      client: client.address,
      status,
      result,
    })
  }

  /** Records that client and backend have switched protocols. */
  switched(attempt: { readonly backend: BackendState }, protocol: string): void {
    if (this.#level('tunnel.opened', undefined, undefined, false) === 'none') return
    const { client, requestId } = this.#facts
    this.#ports.emit('tunnel.opened', {
      client,
      lb: {
        backend: attempt.backend.config.id,
        duration_us: this.#ports.clock.monoUs() - this.startUs,
        protocol,
        request_id: requestId,
      },
    })
  }

  /** Records a refusal of the client's address. */
  denied(rule: string): void {
    const { client, peer, requestId } = this.#facts
    this.#ports.denied({
      access: { rule, phase: 'request' },
      client,
      lb: { request_id: requestId },
      network: { peer },
      outcome: 'failure',
    })
  }

  /** Records how it ended; a second call does nothing. The ticket is {@link unrecorded} where a policy leaves it out. */
  completed(status: number | undefined, requestBytes: number, responseBytes: number): Ticket | undefined {
    if (this.#recorded) return undefined
    this.#recorded = true
    this.#ports.open.delete(this)
    const result = this.result ?? 'internal'
    const failed = result !== 'ok' || (status !== undefined && status >= 500)
    const level = this.#level('request.completed', status, result, failed)
    if (level === 'none') return unrecorded
    const settled = this.#won ?? this.#attempts[this.#attempts.length - 1]
    const completion = {
      app: this.#enriched(status, result),
      response: this.#response,
      level,
      failed,
      result,
      target: this.target,
      detail: this.detail,
      retryDenied: this.retryDenied,
      decision: settled === undefined ? this.none : settled.decision,
      attempts: this.#attempts,
      settled,
      byHost: this.byHost,
      tunnel: this.tunnel,
      waitedUs: this.waitedUs,
      status,
      requestBytes,
      responseBytes,
      startUs: this.startUs,
      endUs: this.#ports.clock.monoUs(),
    }
    return this.#ports.emit('request.completed', completedFields(this.#facts, completion, this.#ports))
  }
}
