// The attempts of one request: who gets it, what follows a failure, and which of those under way has won.

import type { BackendState } from '../backend.ts'
import type { Decision } from '../decision.ts'
import type { AttemptFailure, AttemptResult, RequestResult } from '../outcome.ts'
import type { PickRequest } from '../request.ts'
import type { AttemptRequest } from '../transport.ts'
import type { Journal } from './journal.ts'
import type { Ports, Turn } from './ports.ts'
import { type Course, Try } from './try.ts'

/** The side of the client. */
export interface Outlet {
  /** The request as a backend gets it. */
  requestFor(backend: BackendState): AttemptRequest
  /** Whether the request's body can be sent once more. */
  readonly replayable: boolean
  onHints(headers: string[]): void
  /** Called once. False when there is nobody to answer any more; throws where the head cannot be passed on. */
  onHead(status: number, reason: string, headers: string[], resume: () => void): boolean
  onData(chunk: Buffer): boolean
  onEnd(trailers: string[]): void
  /** No attempt is left, and none will follow. Called once. */
  onFail(result: Exclude<RequestResult, 'ok'>, detail: string | undefined): void
}

export class Attempts implements Course {
  readonly #ports: Ports
  readonly #journal: Journal
  readonly #view: PickRequest
  readonly #outlet: Outlet
  readonly #tried: BackendState[] = []
  readonly #running: Try[] = []
  /** The one whose response the client gets: of several it is the one whose head came first. */
  #winner: Try | undefined
  /** The last one that failed: the answer when no other follows. */
  #failed: AttemptFailure | undefined
  #leaveRoom: () => void = nothing

  constructor(ports: Ports, journal: Journal, view: PickRequest, outlet: Outlet) {
    this.#ports = ports
    this.#journal = journal
    this.#view = view
    this.#outlet = outlet
  }

  /**
   * Picks a backend and sends the request to it. Where all that are left are full it waits for room, and comes to its end
   * without more ado; but a hedge does not wait. False when nobody is left to pick.
   */
  send(turn?: Turn): boolean {
    this.#ports.room.offer()
    if (this.#pick(turn)) return true
    if (turn?.hedge === true || !isFull(this.#journal.none)) return false
    this.#wait(turn)
    return true
  }

  #wait(turn: Turn | undefined): void {
    const { clock, room } = this.#ports
    const sinceUs = clock.monoUs()
    let waits = true
    const over = (): void => {
      if (waits) this.#journal.waitedUs += clock.monoUs() - sinceUs
      waits = false
    }
    const leave = room.enter({
      seat: () => this.#pick(turn, over),
      fail: (result) => {
        over()
        if (result === 'closing' || this.#failed === undefined) this.#outlet.onFail(result, undefined)
        else this.#outlet.onFail(this.#failed.result, this.#failed.detail)
      },
    })
    this.#leaveRoom = () => {
      leave()
      over()
    }
  }

  // `found` is called before anything else can happen.
  #pick(turn: Turn | undefined, found = nothing): boolean {
    const { backend, decision } = this.#ports.pick(this.#view, this.#tried, turn)
    if (backend === undefined) {
      this.#journal.none = decision
      return false
    }
    found()
    this.#tried.push(backend)
    this.#ports.take(backend)
    const one = new Try(this, backend, decision, this.#ports.clock.monoUs())
    this.#running.push(one)
    this.#ports.running.add(one)
    this.#journal.began(one)
    one.send(this.#ports.transport(), this.#outlet.requestFor(backend))
    return true
  }

  /** Breaks off all that run. */
  cancel(result: AttemptResult, detail: string): void {
    this.#leaveRoom()
    for (const one of this.#running.splice(0)) {
      one.cancel()
      this.#ended(one, result, detail)
    }
  }

  onHints(headers: string[]): void {
    this.#outlet.onHints(headers)
  }

  onHead(one: Try, status: number, reason: string, headers: string[], resume: () => void): void {
    one.headUs = this.#ports.clock.monoUs()
    // Who has answered instead ends the request too, and with it this attempt.
    if (!this.#outlet.onHead(status, reason, headers, resume)) return one.cancel()
    this.#winner = one
    this.#journal.won(one)
    if (this.#running.length === 1) return
    this.#forget(one)
    this.cancel('hedge-lost', `${one.backend.config.id} was faster`)
    this.#running.push(one)
  }

  onData(_one: Try, chunk: Buffer): boolean {
    return this.#outlet.onData(chunk)
  }

  onEnd(one: Try, trailers: string[]): void {
    this.#forget(one)
    this.#ended(one, 'ok', undefined)
    this.#outlet.onEnd(trailers)
  }

  onFail(one: Try, failure: AttemptFailure): void {
    this.#forget(one)
    this.#ended(one, failure.result, failure.detail)
    this.#failed = failure
    if (one !== this.#winner) {
      if (this.#running.length > 0) return
      if (this.#mayRetry(failure) && this.send({ retry: this.#tried.length })) return
    }
    this.#outlet.onFail(failure.result, failure.detail)
  }

  #ended(one: Try, result: AttemptResult, detail: string | undefined): void {
    this.#ports.running.delete(one)
    this.#journal.ended(one, result, detail)
  }

  #mayRetry(failure: AttemptFailure): boolean {
    if (this.#ports.closing()) return false
    const { method = '' } = this.#view
    return this.#ports.mayRetry(failure, {
      method,
      attempts: this.#tried.length,
      replayable: this.#outlet.replayable,
    })
  }

  #forget(one: Try): void {
    this.#running.splice(this.#running.indexOf(one), 1)
  }
}

const nothing = (): void => undefined

/** Whether somebody could have been picked but for want of room. */
const isFull = (decision: Decision | undefined): boolean =>
  decision?.excluded.some(({ reason }) => reason === 'at-capacity') === true
