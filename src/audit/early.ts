// Events from before the log is open: they wait, bounded, for their places.
import { canonical, type Json } from '../canonical.ts'
import type { AuditEvent, Ticket } from '../events.ts'
import type { LogName } from '../sink.ts'
import { shaped } from './shape.ts'

/** How many wait; an opening log takes far less time than it takes to fill this. */
const most = 10_000

export interface EarlyEvent {
  readonly event: AuditEvent
  readonly log: LogName
  readonly ticket: Ticket
}

/**
 * Waits as text. Were the objects kept, V8 would learn from them that such objects live long, and go on to make all events where
 * only a full collection finds them (pretenuring): each request would cost a tenth more for as long as the process lives.
 */
interface Waiting extends Omit<EarlyEvent, 'event'> {
  readonly event: AuditEvent | string
}

export class Early {
  #waiting: Waiting[] | undefined = []
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
    this.#waiting!.push({ event: textOf(event), log, ticket })
    return true
  }

  /** What waited, in order. From now on nothing does. */
  end(): readonly EarlyEvent[] {
    const waiting = this.#waiting ?? []
    this.#waiting = undefined
    return waiting.map(({ event, ...rest }) => ({
      event: typeof event === 'string' ? shaped(JSON.parse(event)) : event,
      ...rest,
    }))
  }

  /** They all have their places. */
  settle(): void {
    this.#place()
  }
}

/** What no line can hold waits as it is, and is counted in its turn. */
function textOf(event: AuditEvent): AuditEvent | string {
  try {
    return canonical(event as unknown as Json)
  } catch {
    return event
  }
}
