// The recorder: seals events into lines, and hands them to the log store and to every sink.
import type { AuditEvent, Ticket } from '../events.ts'
import { type LogHead, type LogName, type LogStore, logNames } from '../sink.ts'
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

/** More changes by force than a person makes while a log is away; further ones are counted as lost. */
const mostOwed = 256

/** Sealed + lost = taken in: an event gets either an index or a place in a gap. */
export class Recorder {
  readonly #options: RecorderOptions
  #sealer: Sealer | undefined
  /** Changes made with `breakGlass` that the log store has not got, oldest first. */
  readonly #owed: AuditEvent[] = []
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
    this.#settle()
    if (this.gaps.has(log)) this.#tellGap(log)
    if (this.gaps.has(log) || !this.#append(event, log, ticket)) {
      if (this.#owe(event)) return
      const failing = this.storeOpen && this.#options.store?.healthy === false
      this.gaps.lose(log, event.event_name, event.time, failing ? 'store-unavailable' : 'backlog')
    }
  }

  /** Tells the gaps that no line has told, as far as that is possible now. */
  tellGaps(): void {
    this.#settle()
    for (const log of logNames) if (this.gaps.has(log)) this.#tellGap(log)
  }

  /** Events that neither a line nor the telling of a gap accounts for yet. */
  get untold(): number {
    return this.gaps.untold + this.#owed.length
  }

  // A change that was made by force is no loss: its own line is written as soon as there can be one.
  #owe(event: AuditEvent): boolean {
    const byForce = event.event_name === 'config.changed' && event.config.break_glass === true
    if (!byForce || this.#owed.length >= mostOwed) return false
    this.#owed.push(structuredClone(event))
    return true
  }

  #settle(): void {
    if (this.#owed.length === 0 || !this.storeOpen) return
    if (this.gaps.has('control')) this.#tellGap('control')
    while (this.#owed[0] !== undefined && !this.gaps.has('control')) {
      if (!this.#append(this.#owed[0], 'control', { log: 'control', index: undefined })) return
      this.#owed.shift()
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
    if (store !== undefined && !this.storeOpen && !this.#owe(event))
      this.missed.lose(log, event.event_name, event.time, 'store-unavailable')
    const tellsLoss = event.event_name === 'audit.gap'
    for (const delivery of deliveries) delivery.push(log, origin, next, line, tellsLoss)
    return true
  }
}
