// The recorder: seals events into lines, and hands them to the log store and to every sink.
import type { AuditEvent, Ticket } from '../events.ts'
import type { LogHead, LogName, LogStore } from '../sink.ts'
import type { Delivery } from './delivery.ts'
import { GapCounter } from './gap.ts'
import { Sealer } from './seal.ts'

export interface RecorderOptions {
  readonly store: LogStore | undefined
  readonly deliveries: readonly Delivery[]
  /** Makes the event that tells a gap. */
  readonly gapEvent: (log: LogName, gaps: GapCounter) => AuditEvent
  /** Called once its line is taken. */
  readonly gapTold: (event: AuditEvent) => void
}

/** Sealed + lost = taken in: an event gets either an index or a place in a gap. */
export class Recorder {
  readonly #options: RecorderOptions
  #sealer: Sealer | undefined
  /** Whether lines go to the log store. Written by `open`. */
  storeOpen = false
  /** Events that nothing got. */
  readonly gaps = new GapCounter()
  /** Events that the other sinks got and the log store did not, because it could not be opened. */
  readonly missed = new GapCounter()

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  open(heads: Readonly<Record<LogName, LogHead>>, store: boolean): void {
    this.#sealer = new Sealer(heads)
    this.storeOpen = store
  }

  /** Must not be called before `open`. */
  record(event: AuditEvent, log: LogName, ticket: Ticket): void {
    if (!this.#hasTakers) {
      ticket.index = this.#sealer!.place(log, event)
      return
    }
    if (this.gaps.has(log)) this.#tellGap(log)
    if (this.gaps.has(log) || !this.#append(event, log, ticket)) {
      const failing = this.storeOpen && this.#options.store?.healthy === false
      this.gaps.lose(log, event.event_name, event.time, failing ? 'store-unavailable' : 'backlog')
    }
  }

  /** Whether a line would go anywhere. */
  get #hasTakers(): boolean {
    return this.#options.store !== undefined || this.#options.deliveries.length > 0
  }

  // The line that tells a gap stands before the first line after it. If it finds no room, neither does that line.
  #tellGap(log: LogName): void {
    const event = this.#options.gapEvent(log, this.gaps)
    if (!this.#append(event, log, { log, index: undefined })) return
    this.gaps.told(log)
    this.#options.gapTold(event)
  }

  #append(event: AuditEvent, log: LogName, ticket: Ticket): boolean {
    const { store, deliveries } = this.#options
    const sealer = this.#sealer!
    const line = sealer.line(log, event)
    const { origin, next } = sealer.head(log)
    if (this.storeOpen && !store!.append(log, next, line)) {
      delete event.audit.index
      delete event.audit.origin
      return false
    }
    ticket.index = sealer.place(log, event)
    if (store !== undefined && !this.storeOpen) this.missed.lose(log, event.event_name, event.time, 'store-unavailable')
    for (const delivery of deliveries) delivery.push(log, origin, next, line)
    return true
  }
}
