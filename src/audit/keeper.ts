// The keeper: where lines go, a log store or memory, and from there to the sinks. It makes no events of its own.
import { timeLeft, within } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { AuditEvent, EventFields, Ticket } from '../events.ts'
import { type MemoryOptions, MemoryStore } from '../log/memory-store.ts'
import { type ActNote, type LogName, type LogStore, logNames, type OpenedStore, type SinkContext } from '../sink.ts'
import { step } from '../step.ts'
import { Deliveries } from './deliveries.ts'
import { type OpenHandlers, openSinks } from './open.ts'
import { Recorder } from './recorder.ts'

/** How long a change or a request waits for its line to be on disk. */
const durableTimeoutMs = 10_000
/** How much longer than its deadline the store may take to close before it is left alone. */
const closeSlackMs = 1000

type GapFields = EventFields<'audit.gap'>['log']
type Context = Omit<SinkContext, 'instance'>

export interface KeeperOptions {
  readonly store: LogStore | undefined
  /** How lines wait without a store, and who signs them. */
  readonly memory: Pick<MemoryOptions, 'maxBytes' | 'instance' | 'keyFile'>
  /** The writer's name, as far as it is known. */
  readonly instance: () => string
  readonly onChanged: (fields: EventFields<'audit.sink_changed'>['log']) => void
  /** Whether nothing is taken in any more. */
  readonly closed: () => boolean
  readonly gapEvent: (log: GapFields) => AuditEvent
  /** Called once the line of a gap is taken. */
  readonly gapTold: (event: AuditEvent) => void
  /** Is told what failed, and why. */
  readonly onFault: (what: string, error: unknown) => void
}

export class Keeper {
  readonly recorder: Recorder
  readonly deliveries: Deliveries
  readonly #store: LogStore | undefined
  readonly #memory: MemoryStore
  readonly #context: Context

  constructor(context: Context, options: KeeperOptions) {
    const { clock, random, logger, service } = context
    const { store, gapEvent, gapTold, onFault, onChanged } = options
    this.#context = context
    this.#store = store
    const onGap = (name: LogName, log: GapFields) => {
      if (options.closed()) return 'closed'
      const event = gapEvent(log)
      const ticket = this.recorder.offerGap(event, name)
      return ticket === undefined ? undefined : { ...ticket, origin: event.audit.origin }
    }
    const durable = async ({ log, index }: Ticket) => {
      if (this.recorder.storeOpen) await store!.durable(log, index!)
    }
    this.deliveries = new Deliveries({ clock, random, logger, onChanged, onGap, durable }, () => ({
      ...context,
      instance: options.instance(),
    }))
    const { grown } = this.deliveries
    const signs = () => this.deliveries.sign
    const failing = (sink: string) => this.deliveries.failing(sink)
    this.#memory = new MemoryStore({ ...options.memory, service, clock, signs, failing, grown })
    const hasSinks = () => this.deliveries.any
    this.recorder = new Recorder({ store, memory: this.#memory, hasSinks, gapEvent, gapTold, onFault })
  }

  /** Opens the store and the sinks. Rejects with the first fault once all are open or have failed. */
  open(handlers: OpenHandlers): Promise<void> {
    return openSinks(this.#store, this.deliveries, this.#context, handlers)
  }

  /** Where lines begin without a store. */
  get absent(): OpenedStore {
    return this.#memory.opened
  }

  /** From now on lines go to the opened store, or to memory where there is none; and sinks are fed from there. */
  begin(opened: OpenedStore | undefined): void {
    this.recorder.open((opened ?? this.absent).heads, opened !== undefined)
    this.deliveries.attach(opened === undefined ? this.#memory.source : this.#store!.source)
  }

  /** Whether those who ask for a line to be durable have to wait for it. */
  get waits(): boolean {
    return this.#store?.durability === 'group' || this.#store?.durability === 'remote'
  }

  /**
   * Why lines of this log cannot be kept now, as far as is known: not written, or not accepted by the sink that they wait for. Without
   * a log store there is nothing that could refuse them.
   */
  obstacle(log: LogName): string | undefined {
    if (this.#store === undefined) return undefined
    if (!this.recorder.storeOpen) return 'the log is not open'
    const fault = this.#store.fault(log)
    if (fault !== undefined) return `the ${log} log cannot be written: ${fault}`
    const { durability, remote } = this.#store
    return durability === 'remote' && this.deliveries.failing(remote) ? `${remote} takes no lines` : undefined
  }

  /** Resolves once the line is on disk; at once if there is no log store. Rejects if it is not recorded, or not in time. */
  async durable({ log, index }: Ticket): Promise<void> {
    if (this.#store === undefined) return
    if (index === undefined || !this.recorder.storeOpen)
      throw new BalancerError('audit-unavailable', 'the event is not in the log')
    const { durability, remote } = this.#store
    const onDisk = this.#store.durable(log, index)
    const all = durability === 'remote' ? [onDisk, this.deliveries.accepted(remote, log, index)] : [onDisk]
    const done = Promise.all(all).then(() => true)
    if (!(await within(this.#context.clock, done, durableTimeoutMs, false))) {
      const place = durability === 'remote' ? `with ${remote}` : 'on disk'
      throw new BalancerError('audit-unavailable', `the line was not ${place} within ${durableTimeoutMs} ms`)
    }
  }

  /** Resolves once events can get their places, or after a while. */
  placed(early: Promise<void>): Promise<void> {
    return within(this.#context.clock, early, durableTimeoutMs, undefined)
  }

  async rotateKey(note?: ActNote): Promise<{ readonly from: string; readonly to: string }> {
    if (this.#store?.rotateKey === undefined)
      throw new BalancerError('sink-unavailable', 'rotateKey: there is no file sink whose key could be changed')
    if (!this.recorder.storeOpen) throw new BalancerError('sink-unavailable', 'rotateKey: the file sink is not open')
    return this.#store.rotateKey(note)
  }

  flushSync(): void {
    if (this.recorder.storeOpen) this.#store?.flushSync?.()
  }

  /** Tells the gaps that no line has told, for which the log may first have to write what waits; gives up after a while. */
  async tellGaps(deadlineMs: number): Promise<void> {
    const { recorder } = this
    recorder.tellGaps()
    if (!recorder.owing || !recorder.storeOpen) return
    const written = Promise.all(logNames.map((log) => this.#store!.durable(log, recorder.next(log) - 1)))
    await within(this.#context.clock, written, deadlineMs, undefined).catch(() => undefined)
    recorder.tellGaps()
  }

  /**
   * Delivers what waits, for so long at most; returns what could not be, by sink. Nothing may be recorded any more. Never rejects: what
   * fails is told to the logger, and what comes behind it is done all the same, to the release of the store.
   */
  async close(deadlineMs: number): Promise<Record<string, number>> {
    const left = timeLeft(this.#context.clock, deadlineMs)
    const undelivered = new Map<string, number>()
    const count = (name: string, lines: number): void => {
      if (lines > 0) undelivered.set(name, lines)
    }
    // The last lines and checkpoints come from the log: it goes first, but one that hangs must not keep the sinks from theirs.
    const closing = this.#closeStore(left)
    await within(this.#context.clock, closing, left() / 2, undefined)
    const [lines] = await Promise.all([closing, this.deliveries.close(left, count)])
    count(this.#store?.name ?? '', lines)
    if (this.recorder.storeOpen) await this.#step('the release of the audit log', left, () => this.#store?.release())
    return Object.fromEntries(undelivered)
  }

  async #closeStore(left: () => number): Promise<number> {
    const store = this.#store
    await this.#memory.close()
    if (store === undefined) return 0
    const { storeOpen, untold, missed } = this.recorder
    if (!storeOpen) return untold + missed.total
    const closed = await this.#step('the closing of the audit log', left, () => store.close(left()))
    return untold + (closed?.unwritten ?? this.#doubtful(store))
  }

  /** Lines that are not known to be on disk. */
  #doubtful({ source }: LogStore): number {
    return logNames.reduce((sum, log) => sum + this.recorder.next(log) - source.bounds(log).end, 0)
  }

  /** Undefined if it fails, or takes longer than there is left. */
  #step<T>(what: string, left: () => number, run: () => Promise<T> | undefined): Promise<T | undefined> {
    const { clock, logger } = this.#context
    const late = async (): Promise<T | undefined> => {
      const answer = await within(
        clock,
        Promise.resolve(run()).then((value) => ({ value })),
        left() + closeSlackMs,
        undefined,
      )
      if (answer === undefined) throw new Error('it has not come to its end')
      return answer.value
    }
    return step(late, undefined, (error) => logger.error({ error: reasonOf(error) }, `${what} failed`))
  }
}
