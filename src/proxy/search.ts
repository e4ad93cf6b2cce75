// The search of one request for a backend: it picks one, and waits for room where all that are left are full.
import type { BackendState } from '../backend.ts'
import type { Decision, StickyVerdict } from '../decision.ts'
import type { RetryDenial } from '../outcome.ts'
import type { PickRequest } from '../request.ts'
import type { Journal } from './journal.ts'
import type { Guest, Ports, Turn } from './ports.ts'

type Vain = Parameters<Guest['fail']>[0] | 'no-backend'

/** Who looks for a backend. */
export interface Seeker {
  onFound(backend: BackendState, decision: Decision, turn: Turn | undefined): void
  /** It has waited in vain. */
  onNobody(result: Vain): void
}

export class Search {
  readonly #ports: Ports
  readonly #journal: Journal
  readonly #view: PickRequest
  readonly #seeker: Seeker
  #leave: (() => void) | undefined
  #sinceUs = 0
  /** Whether it waits for room. */
  waits = false
  /** The backends that it has found so far. Read by the seeker. */
  tried: BackendState[] = []
  /** What the last of their picks said of the client's affinity. Read by the seeker. */
  sticky: StickyVerdict | undefined

  constructor(ports: Ports, journal: Journal, view: PickRequest, seeker: Seeker) {
    this.#ports = ports
    this.#journal = journal
    this.#view = view
    this.#seeker = seeker
  }

  /** Tells the seeker, now or, but for a hedge, when there is room. False when nobody is left to pick. */
  start(turn: Turn | undefined): boolean {
    this.#ports.room.offer()
    if (this.#pick(turn)) return true
    if (turn?.hedge === true || !isFull(this.#journal.none)) return false
    this.waits = true
    this.#sinceUs = this.#ports.clock.monoUs()
    const giveUp = (result: Vain, denial: RetryDenial): void => {
      this.stop()
      if (turn !== undefined) this.#journal.retryDenied = denial
      this.#seeker.onNobody(result)
    }
    this.#leave = this.#ports.room.enter({
      seat: () => {
        if (turn === undefined || this.#ports.further.inBudget()) return this.#pick(turn)
        // Others that were sent meanwhile have spent what there was when it began to wait.
        giveUp('no-backend', 'budget')
        return true
      },
      fail: (result) => giveUp(result, result === 'closing' ? 'closing' : 'no-backend'),
    })
    return true
  }

  /** Waits no more. */
  stop(): void {
    if (!this.waits) return
    this.waits = false
    this.#leave?.()
    this.#leave = undefined
    this.#journal.waitedUs += this.#ports.clock.monoUs() - this.#sinceUs
  }

  #pick(turn: Turn | undefined): boolean {
    const { backend, decision } = this.#ports.pick(this.#view, this.tried, turn)
    if (backend === undefined) {
      this.#journal.none = decision
      return false
    }
    this.stop()
    this.sticky = decision.sticky
    // A list of one: to push on an empty list makes room for 17.
    if (turn === undefined) this.tried = [backend]
    else this.tried.push(backend)
    this.#seeker.onFound(backend, decision, turn)
    return true
  }
}

/** Whether somebody could have been picked but for want of room. */
const isFull = (decision: Decision | undefined): boolean =>
  decision?.excluded.some(({ reason }) => reason === 'at-capacity') === true
