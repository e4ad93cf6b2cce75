// The recorder: seals events into lines, and hands them to the log store and to every sink.
import type { AuditEvent, EventFields, Ticket } from '../events.ts'
import { type LogHead, type LogName, type LogStore, logNames } from '../sink.ts'
import { GapCounter } from './gap.ts'
import { Sealer } from './seal.ts'

export interface RecorderOptions {
  readonly store: LogStore | undefined
  /** Where lines wait for sinks without it; and what it is told of places whose lines nobody wants. */
  readonly memory: Pick<LogStore, 'append'> & { pass(log: LogName, index: number): void }
  /** Whether there is any sink besides the store. */
  readonly hasSinks: () => boolean
  /** Makes the event that tells a gap. */
  readonly gapEvent: (log: GapFields) => AuditEvent
  /** Called once its line is taken. */
  readonly gapTold: (event: AuditEvent) => void
  /** Is told what failed, and why. */
  readonly onFault: (what: string, error: unknown) => void
}

type GapFields = EventFields<'audit.gap'>['log']
type Reason = GapFields['reason']

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

  /** Must not be called before `open`. Never throws: what cannot be recorded is counted. */
  record(event: AuditEvent, log: LogName, ticket: Ticket): void {
    if (!this.#hasTakers) {
      const sealer = this.#sealer!
      ticket.index = sealer.place(sealer.head(log), event)
      this.#options.memory.pass(log, ticket.index)
      return
    }
    const refusal = this.#record(event, log, ticket)
    if (refusal === undefined || (refusal !== 'invalid' && this.#owe(event))) return
    this.gaps.lose(log, event.event_name, event.time, refusal)
  }

  /** As `record`, for a gap of a sink, which can as well be told later: returns the ticket if its line was taken, counts nothing. */
  offerGap(event: AuditEvent, log: LogName): Ticket | undefined {
    const ticket: Ticket = { log, index: undefined }
    if (this.#sealer === undefined || this.#record(event, log, ticket) !== undefined) return undefined
    this.#options.gapTold(event)
    return ticket
  }

  /** Tells the gaps that no line has told, as far as that is possible now. */
  tellGaps(): void {
    if (this.#sealer === undefined) return
    this.#settle()
    for (const log of logNames) if (this.gaps.has(log)) this.#tellGap(this.gaps, log)
    if (this.storeOpen) for (const log of logNames) if (this.missed.has(log)) this.#tellGap(this.missed, log)
  }

  /** The index that the next line of a log gets. Must not be called before `open`. */
  next(log: LogName): number {
    return this.#sealer!.head(log).next
  }

  /** Whether `tellGaps` has something to do. */
  get owing(): boolean {
    return this.gaps.open || (this.storeOpen && (this.#owed.length > 0 || this.missed.open))
  }

  /** Events that neither a line nor the telling of a gap accounts for yet. */
  get untold(): number {
    return this.gaps.untold + this.#owed.length + (this.storeOpen ? this.missed.untold : 0)
  }

  /** Returns why its line was not taken. */
  #record(event: AuditEvent, log: LogName, ticket: Ticket): Reason | undefined {
    this.#settle()
    if (this.gaps.has(log)) this.#tellGap(this.gaps, log)
    return this.gaps.has(log) ? this.#unavailable(log) : this.#append(event, log, ticket)
  }

  // A change that was made by force is no loss: its own line is written as soon as there can be one.
  #owe(event: AuditEvent): boolean {
    const byForce = event.event_name === 'config.changed' && event.config.break_glass === true
    if (!byForce || this.#owed.length >= mostOwed) return false
    try {
      this.#owed.push(structuredClone(event))
      return true
    } catch {
      return false
    }
  }

  #settle(): void {
    if (this.#owed.length === 0 || !this.storeOpen) return
    if (this.gaps.has('control')) this.#tellGap(this.gaps, 'control')
    while (this.#owed[0] !== undefined && !this.gaps.has('control')) {
      const event = this.#owed[0]
      const refusal = this.#append(event, 'control', { log: 'control', index: undefined })
      if (refusal !== undefined && refusal !== 'invalid') return
      this.#owed.shift()
      if (refusal === 'invalid') this.gaps.lose('control', event.event_name, event.time, refusal)
    }
  }

  /** Whether a line would go anywhere. */
  get #hasTakers(): boolean {
    return this.#options.store !== undefined || this.#options.hasSinks()
  }

  // The line that tells a gap stands before the first line after it. If it finds no room, neither does that line.
  #tellGap(counter: GapCounter, log: LogName): void {
    const { gapEvent, gapTold, store } = this.#options
    const fields = counter.fields(log)
    const event = gapEvent(counter === this.missed ? { ...fields, sink: store!.name } : fields)
    if (this.#append(event, log, { log, index: undefined }) !== undefined) return
    counter.told(log)
    gapTold(event)
  }

  /** Returns why the line was not taken. */
  #append(event: AuditEvent, log: LogName, ticket: Ticket): Reason | undefined {
    const { store, memory, onFault } = this.#options
    const sealer = this.#sealer!
    const head = sealer.head(log)
    const { next } = head
    let line = ''
    let refusal: Reason | undefined
    try {
      line = sealer.line(head, event)
    } catch (error) {
      // What the host gave, in its configuration or its own strategy, may be nothing that a line can hold.
      onFault(`making a line of ${event.event_name}`, error)
      refusal = 'invalid'
    }
    if (refusal === undefined && this.storeOpen) refusal = this.#store(log, next, line)
    if (refusal !== undefined) {
      delete event.audit.index
      delete event.audit.origin
      return refusal
    }
    ticket.index = sealer.place(head, event)
    if (store !== undefined && !this.storeOpen && !this.#owe(event))
      this.missed.lose(log, event.event_name, event.time, 'store-unavailable')
    if (!this.storeOpen) memory.append(log, next, line)
    return undefined
  }

  // A store that throws where it should return false has not taken the line, as far as anybody can know.
  #store(log: LogName, index: number, line: string): Reason | undefined {
    try {
      return this.#options.store!.append(log, index, line) ? undefined : this.#unavailable(log)
    } catch (error) {
      this.#options.onFault('the audit log', error)
      return 'store-unavailable'
    }
  }

  #unavailable(log: LogName): Reason {
    return this.storeOpen && this.#options.store?.fault(log) !== undefined ? 'store-unavailable' : 'backlog'
  }
}
