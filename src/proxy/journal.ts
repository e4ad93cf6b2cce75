// The journal of one request: what is known of it so far, and its record, written exactly once.
import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import type { Ticket } from '../events.ts'
import type { AttemptResult, RequestResult, RetryDenial } from '../outcome.ts'
import type { Incoming } from './incoming.ts'
import type { Ports } from './ports.ts'
import { type AttemptNote, completedFields, receivedFields, type TunnelReport } from './report.ts'
import type { Breakable } from './running.ts'

/**
 * Several attempts may be open at once; each is ended once, and all are before the request is recorded. The pick that counts,
 * and the times, are those of the attempt that won; where none did, those of the last one.
 */
export class Journal {
  readonly #ports: Ports
  readonly #facts: Incoming
  readonly #startUs: number
  #attempts: AttemptNote[] = []
  #won: AttemptNote | undefined
  #recorded = false
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

  constructor(ports: Ports, facts: Incoming) {
    this.#ports = ports
    this.#facts = facts
    this.#startUs = ports.clock.monoUs()
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

  /** Records that the request came in. */
  received(): Ticket {
    return this.#ports.emit('request.received', receivedFields(this.#facts, this.target, this.#ports))
  }

  /** Records that client and backend have switched protocols. */
  switched(attempt: { readonly backend: BackendState }, protocol: string): void {
    const { client, requestId } = this.#facts
    this.#ports.emit('tunnel.opened', {
      client,
      lb: {
        backend: attempt.backend.config.id,
        duration_us: this.#ports.clock.monoUs() - this.#startUs,
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

  /** Records how it ended; a second call does nothing. */
  completed(status: number | undefined, requestBytes: number, responseBytes: number): Ticket | undefined {
    if (this.#recorded) return undefined
    this.#recorded = true
    const settled = this.#won ?? this.#attempts[this.#attempts.length - 1]
    const completion = {
      result: this.result ?? 'internal',
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
      startUs: this.#startUs,
      endUs: this.#ports.clock.monoUs(),
    }
    return this.#ports.emit('request.completed', completedFields(this.#facts, completion, this.#ports))
  }
}
