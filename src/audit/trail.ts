// The trail: takes in every fact, makes it an event and a line, and sees it to the bus, the log and the sinks.

import { type Clock, systemClock, timeLeft, within } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { AuditEvent, EventFields, EventName, Ticket } from '../events.ts'
import { parseOptions } from '../parse.ts'
import { systemRandom } from '../random.ts'
import { env, safeName, stderrLogger } from '../runtime.ts'
import { isStore, type LogName, type LogStore, type Sink, type SinkContext } from '../sink.ts'
import { version } from '../version.ts'
import type { Audit, AuditClosed } from './audit.ts'
import { Bus, type Listener } from './bus.ts'
import { Delivery } from './delivery.ts'
import { Envelope, logOf } from './envelope.ts'
import { ephemeralHeads, type Opened, openSinks } from './open.ts'
import { type AuditConfig, sinkSchema } from './options.ts'
import { quiet } from './quiet.ts'
import { recordInto } from './record.ts'
import { Recorder } from './recorder.ts'
import { createRedactor, type Redactor } from './redact.ts'
import { Reminder } from './reminder.ts'

/** How many events wait for the log to be opened; an opening log takes far less time than it takes to fill this. */
const mostPending = 10_000
/** How long a change or a request waits for its line to be on disk. */
const durableTimeoutMs = 10_000

interface Pending {
  readonly event: AuditEvent
  readonly log: LogName
  readonly ticket: Ticket
}

export class Trail implements Audit {
  readonly redactor: Redactor
  readonly whenUnavailable: 'drop' | 'refuse'
  readonly #clock: Clock
  readonly #context: SinkContext
  readonly #store: LogStore | undefined
  readonly #deliveries: Delivery[] = []
  readonly #bus: Bus
  readonly #recorder: Recorder
  readonly #reminder: Reminder
  readonly #told = new Set<string>()
  readonly #envelope: Envelope
  #pending: Pending[] | undefined = []
  #emitted = 0
  /** Resolves once events have their places: the log is open, or cannot be. */
  readonly #placed: Promise<void>
  #place: () => void = () => undefined
  readonly #ready: Promise<void>
  #closing: Promise<AuditClosed> | undefined
  #closed = false

  constructor(config: AuditConfig, serviceName: string) {
    const logger = quiet(config.logger ?? stderrLogger)
    const service = safeName(env('OTEL_SERVICE_NAME') ?? config.service ?? serviceName)
    this.#clock = config.clock ?? systemClock
    this.#context = { service, clock: this.#clock, random: config.random ?? systemRandom, logger }
    this.#envelope = new Envelope(this.#clock, service, config.cloud)
    this.#bus = new Bus(logger)
    this.redactor = createRedactor(config.redact)
    this.whenUnavailable = config.whenUnavailable
    this.#store = config.sinks.find(isStore)
    this.#recorder = new Recorder({
      store: this.#store,
      deliveries: this.#deliveries,
      gapEvent: (log) => this.#gapEvent(log),
      gapTold: (event) => {
        this.#emitted++
        this.#bus.publish(event)
      },
      onFault: (what, error) => this.tellOnce(what, reasonOf(error)),
    })
    this.#reminder = new Reminder(this.#clock, () => this.#tellGaps())
    for (const sink of config.sinks) if (!isStore(sink)) this.#feed(sink)
    this.#placed = new Promise((resolve) => {
      this.#place = resolve
    })
    this.#ready = this.#open()
    // Whoever does not call ready() has been told by the logger.
    this.#ready.catch(() => undefined)
  }

  /** Whether responses wait for their line: the store's `durability` is `group`. */
  get waitsForDisk(): boolean {
    return this.#store?.durability === 'group'
  }

  /** Whether what is emitted now will be recorded. Without a log store there is nothing that could refuse it. */
  get recordable(): boolean {
    if (this.#closing !== undefined) return false
    return this.#store === undefined || this.#pending !== undefined || (this.#recorder.storeOpen && this.#store.healthy)
  }

  /** Takes in a fact. Never throws, never waits. After `close` there is nothing that could keep it. */
  emit<N extends EventName>(name: N, fields: EventFields<N>, log: LogName = logOf(name)): Ticket {
    const ticket: Ticket = { log, index: undefined }
    if (this.#closed) return ticket
    const event = this.#envelope.wrap(name, fields)
    this.#emitted++
    if (this.#pending !== undefined) {
      if (this.#pending.length < mostPending) this.#pending.push({ event, log, ticket })
      else this.#recorder.gaps.lose(log, name, event.time, 'backlog')
      // It gets its place only when the log is open: listeners hear of it without.
      this.#bus.publish(event)
      return ticket
    }
    this.#recorder.record(event, log, ticket)
    if (this.#recorder.owing) this.#reminder.arm()
    this.#bus.publish(event)
    return ticket
  }

  /** Resolves once the line is on disk; at once if there is no log store. Rejects if it is not recorded, or not in time. */
  async durable(ticket: Ticket): Promise<void> {
    if (this.#store === undefined) return
    if (ticket.index === undefined && this.#pending !== undefined)
      await within(this.#clock, this.#placed, durableTimeoutMs, undefined)
    if (ticket.index === undefined || !this.#recorder.storeOpen)
      throw new BalancerError('audit-unavailable', 'the event is not in the log')
    const done = this.#store.durable(ticket.log, ticket.index).then(() => true)
    if (!(await within(this.#clock, done, durableTimeoutMs, false))) {
      throw new BalancerError('audit-unavailable', `the line was not on disk within ${durableTimeoutMs} ms`)
    }
  }

  on<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    this.#bus.on(name, listener)
  }

  off<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    this.#bus.off(name, listener)
  }

  addSink(sink: Sink): void {
    if (this.#closing !== undefined) throw new BalancerError('closed', 'addSink')
    parseOptions(sinkSchema, sink, 'addSink')
    if (isStore(sink)) throw new BalancerError('config-invalid', 'addSink: a file sink is given at the start')
    const names = [this.#store?.name, ...this.#deliveries.map((delivery) => delivery.sink.name)]
    if (names.includes(sink.name))
      throw new BalancerError('config-invalid', `addSink: there is a sink named ${JSON.stringify(sink.name)}`)
    this.emit('audit.sink_changed', { log: { sink: sink.name, from: 'absent', to: 'ok', failures: 0, waiting: 0 } })
    this.#feed(sink)
      .open(this.#context)
      .catch((error: unknown) =>
        this.#context.logger.error({ sink: sink.name, error: reasonOf(error) }, 'an audit sink cannot be opened'),
      )
  }

  record(name: string, fields: unknown): void {
    recordInto((event, given) => this.emit(event, given), name, fields)
  }

  /** Tells the logger of a fault; of the same one only once. */
  tellOnce(what: string, fault: string): void {
    if (this.#told.has(what)) return
    this.#told.add(what)
    this.#context.logger.error({ error: fault }, `${what} failed; told once`)
  }

  ready(): Promise<void> {
    return this.#ready
  }

  close(options: { deadlineMs?: number } = {}): Promise<AuditClosed> {
    this.#closing ??= this.#close(options.deadlineMs ?? 10_000)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<AuditClosed> {
    const left = timeLeft(this.#clock, deadlineMs)
    // Half of the time is for what waits to be delivered then.
    await within(this.#clock, this.#placed, left() / 2, undefined)
    if (this.#pending !== undefined) this.#opened(ephemeralHeads(this.#context.service))
    this.#recorder.tellGaps()
    this.emit('audit.closed', {
      log: { emitted: this.#emitted + 1, gaps: this.#recorder.gaps.total + this.#recorder.missed.total },
    })
    this.#closed = true
    this.#reminder.stop()
    const undelivered: Record<string, number> = {}
    const count = (name: string, lines: number): void => {
      if (lines > 0) undelivered[name] = lines
    }
    // The log beside the others: one that hangs must not cost it its last checkpoint. Nothing is emitted any more.
    await Promise.all([
      this.#closeStore(left()).then((lines) => count(this.#store?.name ?? '', lines)),
      ...this.#deliveries.map(async (delivery) => count(delivery.sink.name, await delivery.close(left()))),
    ])
    return { undelivered }
  }

  async #closeStore(deadlineMs: number): Promise<number> {
    if (this.#store === undefined) return 0
    const { storeOpen, untold, missed } = this.#recorder
    return untold + (storeOpen ? (await this.#store.close(deadlineMs)).unwritten : missed.total)
  }

  /** Returns whether something is left to tell. */
  #tellGaps(): boolean {
    this.#recorder.tellGaps()
    let left = this.#recorder.owing
    for (const delivery of this.#deliveries) left = delivery.tellLosses() || left
    return left
  }

  #feed(sink: Sink): Delivery {
    const { clock, random, logger } = this.#context
    const onChanged = (log: EventFields<'audit.sink_changed'>['log']) => void this.emit('audit.sink_changed', { log })
    const onGap = (name: LogName, log: EventFields<'audit.gap'>['log']) =>
      !this.#closed && this.#recorder.offerGap(this.#gapEvent(log), name)
    const onLoss = () => this.#reminder.arm()
    const delivery = new Delivery(sink, { clock, random, logger, onChanged, onGap, onLoss })
    this.#deliveries.push(delivery)
    return delivery
  }

  #gapEvent(log: EventFields<'audit.gap'>['log']): AuditEvent {
    return this.#envelope.wrap('audit.gap', { log, outcome: 'failure' })
  }

  async #open(): Promise<void> {
    await openSinks(this.#store, [...this.#deliveries], this.#context, {
      opened: (opened) => this.#opened(opened),
      closing: () => this.#closing !== undefined,
      closed: () => this.#closed,
      // Which facts belong to which event is the store's to know.
      notice: ({ event, log, facts }) => void this.emit(event, { log: { ...facts } } as never, log),
    })
  }

  #opened(opened: Opened): void {
    this.#envelope.instance(opened.instance)
    this.#recorder.open(opened.heads, opened.store)
    const pending = this.#pending ?? []
    this.#pending = undefined
    const origins = Object.fromEntries(
      Object.entries(opened.heads).map(([log, head]) => [log, { origin: head.origin, next: head.next }]),
    )
    this.emit('audit.opened', { log: { version, origins } })
    this.#recorder.tellGaps()
    for (const { event, log, ticket } of pending) {
      event.service = this.#envelope.service
      this.#recorder.record(event, log, ticket)
    }
    if (this.#recorder.owing) this.#reminder.arm()
    this.#place()
  }
}
