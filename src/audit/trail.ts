// The trail: takes in every fact, makes it an event and a line, and sees it to the bus, the log and the sinks.

import { type Clock, type CloseOptions, deadlineOf, systemClock, timeLeft, within } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import { mustBeHeard } from '../event-name.ts'
import type { EventFields, EventName, Ticket } from '../events.ts'
import { systemRandom } from '../random.ts'
import { onExit, stderrLogger } from '../runtime.ts'
import { kindOf } from '../shown.ts'
import {
  type ActNote,
  isStore,
  type LogName,
  logNames,
  type OpenedStore,
  type Sink,
  type SinkContext,
} from '../sink.ts'
import { version } from '../version.ts'
import type { Audit, AuditClosed } from './audit.ts'
import { Bus, type Listener } from './bus.ts'
import { Early } from './early.ts'
import { Envelope, logOf } from './envelope.ts'
import { type Extent, extentOf } from './extent.ts'
import { Keeper } from './keeper.ts'
import type { AuditConfig } from './options.ts'
import { Pools } from './pools.ts'
import { Pulse } from './pulse.ts'
import { quiet } from './quiet.ts'
import { recordInto } from './record.ts'
import type { Recorder } from './recorder.ts'
import { Reminder } from './reminder.ts'
import { serviceOf } from './service.ts'

export class Trail implements Audit {
  readonly extent: Extent
  readonly whenUnavailable: 'drop' | 'refuse'
  readonly pools: Pools
  readonly #clock: Clock
  readonly #context: Omit<SinkContext, 'instance'>
  readonly #keeper: Keeper
  readonly #storeName: string | undefined
  readonly #bus: Bus
  readonly #recorder: Recorder
  readonly #reminder: Reminder
  readonly #pulse: Pulse
  readonly #told = new Set<string>()
  readonly #envelope: Envelope
  readonly #early = new Early()
  #emitted = 0
  readonly #ready: Promise<void>
  #closing: Promise<AuditClosed> | undefined
  #closed = false

  constructor(config: AuditConfig, serviceName: string) {
    const logger = quiet(config.logger ?? stderrLogger)
    const service = serviceOf(config.service ?? serviceName)
    this.#clock = config.clock ?? systemClock
    this.#context = { service, clock: this.#clock, random: config.random ?? systemRandom, logger }
    this.#envelope = new Envelope(this.#clock, service, config.cloud)
    this.#bus = new Bus(logger)
    this.pools = new Pools(logger)
    this.extent = extentOf(config, this.#clock, (what, error) => this.tellOnce(what, reasonOf(error)))
    this.whenUnavailable = config.whenUnavailable
    const store = config.sinks.find(isStore)
    this.#storeName = store?.name
    this.#keeper = new Keeper(this.#context, {
      store,
      memory: { maxBytes: config.queueBytes, instance: config.instance, keyFile: config.key?.file },
      instance: () => this.#envelope.service.instance.id,
      closed: () => this.#closed,
      onChanged: (log) => void this.emit('audit.sink_changed', { log }),
      gapEvent: (log) => this.#envelope.wrap('audit.gap', { log, outcome: 'failure' }),
      gapTold: (event) => {
        this.#emitted++
        this.#bus.publish(event)
      },
      onFault: (what, error) => this.tellOnce(what, reasonOf(error)),
    })
    this.#recorder = this.#keeper.recorder
    this.#reminder = new Reminder(this.#clock, () => this.#tellGaps())
    const stepped = (step_ms: number) => void this.emit('audit.clock_stepped', { log: { step_ms } })
    this.#pulse = new Pulse(this.#clock, () => this.#beat(), stepped)
    for (const sink of config.sinks) if (!isStore(sink)) this.#keeper.deliveries.add(sink)
    this.#ready = this.#open().then(() => this.extent.redactor.ready())
    // Whoever does not call ready() has been told by the logger.
    this.#ready.catch(() => undefined)
  }

  /**
   * Whether responses wait for their line: the store's `durability` is `group` or `remote`. While it is known that no line can be
   * written, or that the sink which `remote` names fails, they wait only where they must not be without it.
   */
  get waitsForDisk(): boolean {
    const keeper = this.#keeper
    if (!keeper.waits) return false
    return this.whenUnavailable === 'refuse' || this.#early.waits || keeper.obstacle('traffic') === undefined
  }

  /** Why what is emitted now into this log will not be recorded; undefined if it will. Without a log store nothing could refuse it. */
  obstacle(log: LogName): string | undefined {
    if (this.#closing !== undefined) return 'the trail is closed'
    return this.#early.waits ? undefined : this.#keeper.obstacle(log)
  }

  /** Takes in a fact. Never throws, never waits. After `close` there is nothing that could keep it. */
  emit<N extends EventName>(name: N, fields: EventFields<N>, log: LogName = logOf(name)): Ticket {
    const ticket: Ticket = { log, index: undefined }
    if (this.#closed) return ticket
    const event = this.#envelope.wrap(name, this.extent.redactor.event(name, fields))
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
    if (this.#storeName === undefined) return
    if (ticket.index === undefined && this.#early.waits) await this.#keeper.placed(this.#early.placed)
    return this.#keeper.durable(ticket)
  }

  on<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    mustBeHeard(name)
    if (typeof listener !== 'function')
      throw new BalancerError('config-invalid', `a listener is a function (event) => …, got ${kindOf(listener)}`)
    this.#bus.on(name, listener)
  }

  off<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    this.#bus.off(name, listener)
  }

  addSink(sink: Sink): void {
    if (this.#closing !== undefined) throw new BalancerError('closed', 'addSink')
    this.#keeper.deliveries.addLater(sink, this.#storeName, () =>
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

  async rotateKey(note?: ActNote): Promise<{ readonly from: string; readonly to: string }> {
    if (this.#closing !== undefined) throw new BalancerError('closed', 'rotateKey')
    await this.#early.placed
    return this.#keeper.rotateKey(note)
  }

  installExitHooks(): () => void {
    return onExit(() => this.#keeper.flushSync())
  }

  ready(): Promise<void> {
    return this.#ready
  }

  close(options?: CloseOptions): Promise<AuditClosed> {
    this.#closing ??= this.#close(deadlineOf(options))
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<AuditClosed> {
    const left = timeLeft(this.#clock, deadlineMs)
    // Half of the time is for what waits to be delivered then.
    await within(this.#clock, this.#early.placed, left() / 2, undefined)
    if (this.#early.waits) this.#opened(undefined)
    await this.#keeper.tellGaps(left() / 2)
    const { gaps, missed } = this.#recorder
    const { skipped } = this.extent
    this.emit('audit.closed', { log: { emitted: this.#emitted + 1, gaps: gaps.total + missed.total, skipped } })
    this.#closed = true
    this.#reminder.stop()
    this.#pulse.stop()
    return { undelivered: await this.#keeper.close(left()) }
  }

  /** Each log says that it is being written. */
  #beat(): void {
    if (this.#early.waits) return
    this.#recorder.tellGaps()
    const { gaps, missed } = this.#recorder
    const { skipped } = this.extent
    for (const log of logNames) {
      const next = this.#recorder.next(log) + 1
      // Only what could be in this log was left out of it.
      const left = log === 'traffic' ? { skipped } : {}
      const facts = { next, emitted: this.#emitted + 1, gaps: gaps.total + missed.total, ...left }
      this.emit('audit.heartbeat', { log: facts }, log)
    }
  }

  /** Returns whether something is left to tell. */
  #tellGaps(): boolean {
    this.#recorder.tellGaps()
    return this.#recorder.owing
  }

  async #open(): Promise<void> {
    await this.#keeper.open({
      opened: (opened) => this.#opened(opened),
      closing: () => this.#closing !== undefined,
      closed: () => this.#closed,
      // Which facts belong to which event is the store's to know.
      notice: ({ event, log, facts }) => void this.emit(event, { log: { ...facts } } as never, log),
    })
  }

  #opened(opened: OpenedStore | undefined): void {
    const { instance, heads, vkey } = opened ?? this.#keeper.absent
    // Sinks are opened with the name.
    this.#envelope.instance(instance)
    this.#keeper.begin(opened)
    const early = this.#early.end()
    const origins = Object.fromEntries(
      Object.entries(heads).map(([log, head]) => [log, { origin: head.origin, next: head.next }]),
    )
    this.emit('audit.opened', { log: { version, origins, vkey } })
    this.#recorder.tellGaps()
    for (const { event, log, ticket } of early) {
      event.service = this.#envelope.service
      this.#recorder.record(event, log, ticket)
    }
    if (this.#recorder.owing) this.#reminder.arm()
    this.#early.settle()
  }
}
