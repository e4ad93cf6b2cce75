// The journal of one request: what is known of it so far, and its record, written exactly once.
import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import type { Ticket } from '../events.ts'
import type { AttemptFailure, RequestResult } from '../outcome.ts'
import type { Ports } from './ports.ts'
import {
  type AttemptNote,
  type AttemptReport,
  attemptReport,
  completedFields,
  type RequestFacts,
  receivedFields,
} from './report.ts'

export class Journal {
  readonly #ports: Ports
  readonly #facts: RequestFacts
  readonly #startUs: number
  readonly #reports: AttemptReport[] = []
  #decision: Decision | undefined
  #recorded = false
  /** The attempt that is under way. */
  attempt: AttemptNote | undefined
  firstByteUs: number | undefined
  result: RequestResult | undefined
  detail: string | undefined

  constructor(ports: Ports, facts: RequestFacts) {
    this.#ports = ports
    this.#facts = facts
    this.#startUs = ports.clock.monoUs()
  }

  get attempts(): number {
    return this.#reports.length
  }

  /** The answer when nobody is left to try: the last failure, if there was an attempt. */
  get verdict(): [Exclude<RequestResult, 'ok'>, string | undefined] {
    const last = this.#reports[this.#reports.length - 1]
    return last === undefined || last.result === 'ok' ? ['no-backend', undefined] : [last.result, last.detail]
  }

  fail(result: Exclude<RequestResult, 'ok'>, detail: string | undefined): void {
    this.result = result
    this.detail = detail
  }

  /** The pick of the last attempt counts; one that found nobody does only if there was no other. */
  decided(backend: BackendState | undefined, decision: Decision): void {
    if (backend !== undefined) {
      const startUs = this.#ports.clock.monoUs()
      this.attempt = { backend, decision, startUs, connected: undefined, status: undefined }
    }
    if (backend !== undefined || this.#decision === undefined) this.#decision = decision
  }

  /** Ends the attempt under way and gives its backend back. */
  endAttempt(failure: AttemptFailure | undefined): void {
    const { attempt } = this
    if (attempt === undefined) return
    this.attempt = undefined
    const endUs = this.#ports.clock.monoUs()
    this.#reports.push(attemptReport(attempt, endUs, failure))
    this.#ports.release(attempt.backend, {
      result: failure?.result ?? 'ok',
      status: attempt.status,
      startUs: attempt.startUs,
      latencyUs: (attempt.status === undefined ? endUs : (this.firstByteUs ?? endUs)) - attempt.startUs,
    })
  }

  /** Records that the request came in. */
  received(): Ticket {
    return this.#ports.emit('request.received', receivedFields(this.#facts, this.#ports))
  }

  /** Records a refusal of the client's address. */
  denied(rule: string): void {
    const { peer, requestId } = this.#facts
    this.#ports.denied({
      access: { rule, phase: 'request' },
      client: { ...peer, source: 'peer' },
      lb: { request_id: requestId },
      network: { peer },
      outcome: 'failure',
    })
  }

  /** Records how it ended; a second call does nothing. */
  completed(status: number | undefined, requestBytes: number, responseBytes: number): Ticket | undefined {
    if (this.#recorded) return undefined
    this.#recorded = true
    const completion = {
      result: this.result ?? 'internal',
      detail: this.detail,
      decision: this.#decision,
      attempts: this.#reports,
      status,
      requestBytes,
      responseBytes,
      startUs: this.#startUs,
      firstByteUs: this.firstByteUs,
      endUs: this.#ports.clock.monoUs(),
    }
    return this.#ports.emit('request.completed', completedFields(this.#facts, completion, this.#ports))
  }
}
