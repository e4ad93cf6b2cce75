// Events from before the log is open: they wait, bounded, for their places.
import type { AuditEvent, Ticket } from '../events.ts'
import type { LogName } from '../sink.ts'

/** How many wait; an opening log takes far less time than it takes to fill this. */
const most = 10_000

export interface EarlyEvent {
  readonly event: AuditEvent
  readonly log: LogName
  readonly ticket: Ticket
}

export class Early {
  #waiting: EarlyEvent[] | undefined = []
  /** Resolves once events have their places: the log is open, or cannot be. */
  readonly placed: Promise<void>
  #place: () => void = () => undefined

  constructor() {
    this.placed = new Promise((resolve) => {
      this.#place = resolve
    })
  }

  /** Whether events must wait still. */
  get waits(): boolean {
    return this.#waiting !== undefined
  }

  /** Returns whether there was room. */
  push(event: AuditEvent, log: LogName, ticket: Ticket): boolean {
    if (this.#waiting!.length >= most) return false
    this.#waiting!.push({ event, log, ticket })
    return true
  }

  /** What waited, in order. From now on nothing does. */
  end(): readonly EarlyEvent[] {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    return waiting
  }

  /** They all have their places. */
  settle(): void {
    this.#place()
  }
}
