// The attempts of one request: who gets it, what follows a failure, and which of those under way has won.
import type { BackendState } from '../backend.ts'
import type { Timer } from '../clock.ts'
import type { Decision } from '../decision.ts'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure, AttemptResult, RetryDenial } from '../outcome.ts'
import type { PickRequest } from '../request.ts'
import { Held } from './held.ts'
import type { Journal } from './journal.ts'
import type { Outlet, Switched } from './outlet.ts'
import type { Ports, Turn } from './ports.ts'
import { Search, type Seeker } from './search.ts'
import { type Course, Try } from './try.ts'

export class Attempts implements Course, Seeker {
  readonly #ports: Ports
  readonly #journal: Journal
  readonly #view: PickRequest
  readonly #outlet: Outlet
  /** While it waits no attempt runs. */
  readonly #search: Search
  /** Those that may still win, or have. */
  #running: Try[] = []
  /** The last response that was set aside for a retry: the answer if nothing better comes. */
  #held: Held | undefined
  /** The one whose response the client gets: of several it is the one whose head came first. */
  #winner: Try | undefined
  /** The last failure: the answer if no attempt follows. */
  #failed: AttemptFailure | undefined
  #retries = 0
  #hedges = 0
  #hedgeTimer: Timer | undefined
  #totalTimer: Timer | undefined

  constructor(ports: Ports, journal: Journal, view: PickRequest, outlet: Outlet) {
    this.#ports = ports
    this.#journal = journal
    this.#view = view
    this.#outlet = outlet
    this.#search = new Search(ports, journal, view, this)
  }

  /** Sends the request for the first time. False when there is nobody to send it to. */
  start(): boolean {
    const { totalMs } = this.#ports.timeouts()
    if (totalMs !== undefined) this.#totalTimer = this.#ports.clock.after(totalMs, () => this.#timeIsUp(totalMs))
    if (this.#search.start(undefined)) return true
    this.#totalTimer?.cancel()
    return false
  }

  /** Breaks off all that run: the client has left, or is answered by somebody else. */
  cancel(result: AttemptResult, detail: string): void {
    this.#stopTimers()
    this.#drop()
    this.#breakOff(result, detail)
  }

  onNobody(result: Parameters<Seeker['onNobody']>[0]): void {
    this.#stopTimers()
    if (this.#held !== undefined) return this.#passHeld(this.#held)
    if (result === 'closing' || this.#failed === undefined) return this.#outlet.onFail(result, undefined)
    this.#outlet.onFail(this.#failed.result, this.#failed.detail)
  }

  onFound(backend: BackendState, decision: Decision, turn: Turn | undefined): void {
    const { clock, further } = this.#ports
    const one = new Try(this, backend, decision, clock)
    this.#ports.take(backend)
    if (turn === undefined) {
      // A list of one: to push on an empty list makes room for 17.
      this.#running = [one]
      further.first(one.startUs)
    } else {
      this.#running.push(one)
      further.extra(one.startUs)
    }
    this.#journal.began(one)
    this.#setTimers(one)
    one.send(this.#ports.transport(), this.#outlet.requestFor(backend))
  }

  #setTimers(one: Try): void {
    const { clock, further } = this.#ports
    const { tryMs } = this.#ports.timeouts()
    if (tryMs !== undefined) one.limit(tryMs)
    this.#hedgeTimer?.cancel()
    const delayMs = further.hedgeDelayMs(this.#view.method ?? '', this.#hedges)
    if (delayMs !== undefined) this.#hedgeTimer = clock.after(delayMs, () => this.#hedge())
  }

  #stopTimers(): void {
    this.#search.stop()
    this.#hedgeTimer?.cancel()
    this.#totalTimer?.cancel()
  }

  // What may be sent twice although nothing has failed yet.
  #hedge(): void {
    // While a retry waits for room there is nothing to be faster than.
    if (this.#search.waits || !this.#outlet.whole) return
    if (this.#ports.closing() || !this.#ports.further.inBudget()) return
    this.#hedges++
    this.#search.start({ hedge: true, sticky: this.#search.sticky })
  }

  #timeIsUp(ms: number): void {
    const detail = `no response within ${ms} ms`
    this.#stopTimers()
    this.#breakOff('total-timeout', detail)
    if (this.#held === undefined) this.#outlet.onFail('total-timeout', detail)
    else this.#passHeld(this.#held)
  }

  /** Retries if that may be and somebody is left to try; writes down why not otherwise. */
  #retry(result: AttemptResult, sent: boolean): boolean {
    const denial = this.#denial(result, sent)
    if (denial === undefined) {
      this.#retries++
      if (this.#search.start({ retry: this.#search.tried.length, sticky: this.#search.sticky })) return true
    }
    this.#journal.retryDenied = denial ?? 'no-backend'
    return false
  }

  #denial(result: AttemptResult, sent: boolean): RetryDenial | undefined {
    if (this.#ports.closing()) return 'closing'
    const { method = '' } = this.#view
    const { replayable, once } = this.#outlet
    if (sent && once) return 'method'
    return this.#ports.further.denial({ method, result, sent, retries: this.#retries, replayable })
  }

  onHints(headers: string[]): void {
    this.#outlet.onHints(headers)
  }

  onHead(one: Try, status: number, reason: string, headers: string[], resume: () => void): void {
    if (this.#ports.further.setsAside(status) && this.#setAside(new Held(one, status, reason, headers, resume))) return
    if (this.#outlet.onHead(one, status, reason, headers, resume)) this.#won(one)
    // Who has answered instead ends the request too, and with it this attempt.
    else one.cancel()
  }

  onSwitch(one: Try, switched: Switched): void {
    const tunnel = this.#outlet.onSwitch(one, switched)
    if (tunnel === undefined) return one.cancel()
    this.#won(one)
    one.carry(tunnel)
  }

  #won(one: Try): void {
    this.#winner = one
    this.#journal.won(one)
    this.#ports.further.waited(one.headUs! - one.startUs)
    this.#stopTimers()
    this.#drop()
    if (this.#running.length === 1 && this.#running[0] === one) return
    this.#forget(one)
    this.#breakOff('hedge-lost', `${one.backend.config.id} was faster`)
    this.#running.push(one)
  }

  /** False where nothing can follow, so that this response is the answer. */
  #setAside(held: Held): boolean {
    this.#forget(held.one)
    const before = this.#held
    this.#held = held
    if (this.#running.length > 0 || this.#retry('ok', true)) {
      if (before !== undefined) this.#end(before)
      return true
    }
    this.#held = before
    this.#running.push(held.one)
    return false
  }

  // Called by a failure or by a timer: nobody else would catch what the head makes our side throw.
  #passHeld(held: Held): void {
    const { one, status, reason, headers, resume } = held
    try {
      if (!this.#outlet.onHead(one, status, reason, headers, resume)) return
    } catch (error) {
      this.#drop()
      this.#outlet.onFail('response-invalid', reasonOf(error))
      return
    }
    this.#held = undefined
    this.#won(one)
    const trailers = held.pass((chunk) => this.#outlet.onData(chunk))
    if (trailers === undefined) return
    this.#forget(one)
    this.#outlet.onEnd(trailers)
  }

  onData(one: Try, chunk: Buffer): boolean {
    return one === this.#winner ? this.#outlet.onData(chunk) : this.#held?.one === one && this.#held.onData(chunk)
  }

  onEnd(one: Try, trailers: string[]): void {
    this.#forget(one)
    this.#journal.ended(one, 'ok', undefined)
    if (one === this.#winner) this.#outlet.onEnd(trailers)
    else if (one === this.#held?.one) this.#held.onEnd(trailers)
  }

  onFail(one: Try, failure: AttemptFailure): void {
    const { result, sent, detail } = failure
    this.#forget(one)
    this.#journal.ended(one, result, detail)
    if (one === this.#winner) return this.#outlet.onFail(result, detail)
    if (one === this.#held?.one) this.#held = undefined
    this.#failed = failure
    if (this.#running.length > 0 || this.#search.waits || this.#retry(result, sent)) return
    this.#stopTimers()
    if (this.#held === undefined) this.#outlet.onFail(result, detail)
    else this.#passHeld(this.#held)
  }

  /** Ends all that run, for a reason that is not theirs. */
  #breakOff(result: AttemptResult, detail: string): void {
    for (const one of this.#running.splice(0)) {
      one.cancel()
      this.#journal.ended(one, result, detail)
      // It would have taken longer: of the first attempt that is worth knowing, and of a hedge says nothing.
      if (result === 'hedge-lost' && one.decision.hedge !== true) this.#ports.further.waited(one.endUs - one.startUs)
    }
  }

  #drop(): void {
    if (this.#held !== undefined) this.#end(this.#held)
    this.#held = undefined
  }

  // Its backend has answered: that the rest is not read is our choice.
  #end({ one }: Held): void {
    one.cancel()
    if (one.result === undefined) this.#journal.ended(one, 'ok', undefined)
  }

  #forget(one: Try): void {
    const place = this.#running.indexOf(one)
    if (place === -1) return
    if (place === this.#running.length - 1) this.#running.pop()
    else this.#running.splice(place, 1)
  }
}
