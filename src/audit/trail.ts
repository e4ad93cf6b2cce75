// The trail: takes in every fact, makes it an event and a line, and sees it to the bus, the log and the sinks.

import { type Clock, systemClock, timeLeft, within } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { AuditEvent, EventFields, EventName, Ticket } from '../events.ts'
import { MemoryStore } from '../log/memory-store.ts'
import { systemRandom } from '../random.ts'
import { env, safeName, stderrLogger } from '../runtime.ts'
import { isStore, type LogName, type LogStore, type OpenedStore, type Sink, type SinkContext } from '../sink.ts'
import { version } from '../version.ts'
import type { Audit, AuditClosed } from './audit.ts'
import { Bus, type Listener } from './bus.ts'
import { Deliveries } from './deliveries.ts'
import { Early } from './early.ts'
import { Envelope, logOf } from './envelope.ts'
import { openSinks } from './open.ts'
import type { AuditConfig } from './options.ts'
import { quiet } from './quiet.ts'
import { recordInto } from './record.ts'
import { Recorder } from './recorder.ts'
import { createRedactor, type Redactor } from './redact.ts'
import { Reminder } from './reminder.ts'

/** How long a change or a request waits for its line to be on disk. */
const durableTimeoutMs = 10_000

export class Trail implements Audit {
  readonly redactor: Redactor
  readonly whenUnavailable: 'drop' | 'refuse'
  readonly #clock: Clock
  readonly #context: Omit<SinkContext, 'instance'>
  /** Where lines wait for the sinks while no log store is open. */
  readonly #memory: MemoryStore
  readonly #store: LogStore | undefined
  readonly #deliveries: Deliveries
  readonly #bus: Bus
  readonly #recorder: Recorder
  readonly #reminder: Reminder
  readonly #told = new Set<string>()
  readonly #envelope: Envelope
  readonly #early = new Early()
  #emitted = 0
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
    const { random } = this.#context
    const lossless = {
      onChanged: (log: EventFields<'audit.sink_changed'>['log']) => void this.emit('audit.sink_changed', { log }),
      onGap: (name: LogName, log: EventFields<'audit.gap'>['log']) =>
        this.#closed ? undefined : this.#recorder.offerGap(this.#gapEvent(log), name),
      durable: async ({ log, index }: Ticket) => {
        if (this.#recorder.storeOpen) await this.#store!.durable(log, index!)
      },
    }
    this.#deliveries = new Deliveries({ clock: this.#clock, random, logger, ...lossless }, () => ({
      ...this.#context,
      instance: this.#envelope.service.instance.id,
    }))
    this.#memory = new MemoryStore({
      service,
      clock: this.#clock,
      maxBytes: config.queueBytes,
      signs: () => this.#deliveries.sign,
      grown: this.#deliveries.grown,
    })
    this.#recorder = new Recorder({
      store: this.#store,
      memory: this.#memory,
      hasSinks: () => this.#deliveries.any,
      gapEvent: (log) => this.#gapEvent(log),
      gapTold: (event) => {
        this.#emitted++
        this.#bus.publish(event)
      },
      onFault: (what, error) => this.tellOnce(what, reasonOf(error)),
    })
    this.#reminder = new Reminder(this.#clock, () => this.#tellGaps())
    for (const sink of config.sinks) if (!isStore(sink)) this.#deliveries.add(sink)
    this.#ready = this.#open()
    // Whoever does not call ready() has been told by the logger.
    this.#ready.catch(() => undefined)
  }

  /** Whether responses wait for their line: the store's `durability` is `group` or `remote`. */
  get waitsForDisk(): boolean {
    return this.#store?.durability === 'group' || this.#store?.durability === 'remote'
  }

  /** Whether what is emitted now will be recorded. Without a log store there is nothing that could refuse it. */
  get recordable(): boolean {
    if (this.#closing !== undefined) return false
    return this.#store === undefined || this.#early.waits || (this.#recorder.storeOpen && this.#store.healthy)
  }

  /** Takes in a fact. Never throws, never waits. After `close` there is nothing that could keep it. */
  emit<N extends EventName>(name: N, fields: EventFields<N>, log: LogName = logOf(name)): Ticket {
    const ticket: Ticket = { log, index: undefined }
    if (this.#closed) return ticket
    const event = this.#envelope.wrap(name, fields)
    this.#emitted++
    if (this.#early.waits) {
      if (!this.#early.push(event, log, ticket)) this.#recorder.gaps.lose(log, name, event.time, 'backlog')
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
    if (ticket.index === undefined && this.#early.waits)
      await within(this.#clock, this.#early.placed, durableTimeoutMs, undefined)
    if (ticket.index === undefined || !this.#recorder.storeOpen)
      throw new BalancerError('audit-unavailable', 'the event is not in the log')
    const { durability, remote } = this.#store
    const onDisk = this.#store.durable(ticket.log, ticket.index)
    const all =
      durability === 'remote' ? [onDisk, this.#deliveries.accepted(remote, ticket.log, ticket.index)] : [onDisk]
    const done = Promise.all(all).then(() => true)
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
    this.#deliveries.addLater(sink, this.#store?.name, () =>
      this.emit('audit.sink_changed', { log: { sink: sink.name, from: 'absent', to: 'ok', failures: 0, waiting: 0 } }),
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
    await within(this.#clock, this.#early.placed, left() / 2, undefined)
    if (this.#early.waits) this.#opened(undefined)
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
    // The last lines and checkpoints come from the log: it goes first, but one that hangs must not keep the sinks from theirs.
    const closing = this.#closeStore(left()).then((lines) => count(this.#store?.name ?? '', lines))
    await within(this.#clock, closing, left() / 2, undefined)
    await Promise.all([closing, this.#deliveries.close(left, count)])
    if (this.#recorder.storeOpen) await this.#store?.release()
    return { undelivered }
  }

  async #closeStore(deadlineMs: number): Promise<number> {
    await this.#memory.close()
    if (this.#store === undefined) return 0
    const { storeOpen, untold, missed } = this.#recorder
    return untold + (storeOpen ? (await this.#store.close(deadlineMs)).unwritten : missed.total)
  }

  /** Returns whether something is left to tell. */
  #tellGaps(): boolean {
    this.#recorder.tellGaps()
    return this.#recorder.owing
  }

  #gapEvent(log: EventFields<'audit.gap'>['log']): AuditEvent {
    return this.#envelope.wrap('audit.gap', { log, outcome: 'failure' })
  }

  async #open(): Promise<void> {
    await openSinks(this.#store, this.#deliveries, this.#context, {
      opened: (opened) => this.#opened(opened),
      closing: () => this.#closing !== undefined,
      closed: () => this.#closed,
      notice: ({ event, log, facts }) => void this.emit(event, { log: { ...facts } } as EventFields<typeof event>, log),
    })
  }

  #opened(opened: OpenedStore | undefined): void {
    const { instance, heads } = opened ?? this.#memory.opened
    this.#envelope.instance(instance)
    this.#recorder.open(heads, opened !== undefined)
    this.#deliveries.attach(opened === undefined ? this.#memory.source : this.#store!.source)
    const early = this.#early.end()
    const origins = Object.fromEntries(
      Object.entries(heads).map(([log, head]) => [log, { origin: head.origin, next: head.next }]),
    )
    this.emit('audit.opened', { log: { version, origins } })
    this.#recorder.tellGaps()
    for (const { event, log, ticket } of early) {
      event.service = this.#envelope.service
      this.#recorder.record(event, log, ticket)
    }
    if (this.#recorder.owing) this.#reminder.arm()
    this.#early.settle()
  }
}
