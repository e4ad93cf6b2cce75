// Delivery: brings the lines of the log to one sink, from its own cursor on, and outlasts its faults.
import { type Clock, timeLeft, within } from '../clock.ts'
import type { EventFields } from '../events.ts'
import type { Random } from '../random.ts'
import type { Feed, LineFeed, LogName, Sink, SinkContext, Stretch } from '../sink.ts'
import { step } from '../step.ts'
import { Acceptance } from './acceptance.ts'
import { Caller } from './caller.ts'
import { DeliveryFaults } from './delivery-faults.ts'
import { limited } from './fault.ts'
import { feedSchema } from './feed.ts'
import { type LineFilter, lineFilter, wantedLogs } from './filter.ts'
import { acceptedFrom, hand, handMissing, type Indexed, type Refused } from './handing.ts'
import { Lane, lanesOrder } from './lane.ts'
import { Losses, type LossOptions } from './losses.ts'
import { Pump } from './pump.ts'
import { onlyTells, toldInWaiting } from './telling.ts'

export interface DeliveryOptions extends LossOptions {
  readonly clock: Clock
  readonly random: Random
  readonly onChanged: (fields: EventFields<'audit.sink_changed'>['log']) => void
}

/** How soon is tried again what the log does not give now. */
const againMs = 1000

export class Delivery {
  readonly sink: Sink
  readonly #options: DeliveryOptions
  readonly #feed: Feed
  readonly #filter: LineFilter | undefined
  readonly #caller: Caller
  readonly #losses: Losses
  readonly #faults: DeliveryFaults
  /** The stores that its lines are in: the second one, if any, came when the first could not be gone on with. */
  readonly #lanes: Lane[] = []
  readonly #acceptance: Acceptance
  readonly #pump: Pump
  /** Resolves once the sink is open, or cannot be. */
  readonly #opened: Promise<void>
  #settleOpened: () => void = () => undefined
  #closing = false
  /** Lines that the sink has got beyond its cursor, which stays before what could not be told any more. */
  #ahead = 0

  constructor(sink: Sink, options: DeliveryOptions) {
    const { clock, random, logger, onChanged } = options
    this.sink = sink
    this.#options = options
    this.#feed = feedSchema.parse(sink.feed)
    const { timeoutMs } = this.#feed
    this.#caller = new Caller(sink.name, { clock, random, logger, timeoutMs, onChanged, waiting: () => this.waiting })
    this.#opened = new Promise((resolve) => {
      this.#settleOpened = resolve
    })
    const again = () => {
      // What came after the last look.
      if (!this.#closing) this.grown()
    }
    this.#pump = new Pump(clock, this.#feed.intervalMs, () => this.#deliver(), again)
    this.#acceptance = new Acceptance(sink.name)
    this.#losses = new Losses(sink.name, this.#caller, options)
    this.#faults = new DeliveryFaults(sink.name, logger)
    this.#filter = lineFilter(sink.filter, this.#faults.filter)
  }

  /** Lines that the sink has not accepted yet. */
  get waiting(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.waiting, 0)
  }

  /** Whether it is known that what waits is not accepted now. */
  get failing(): boolean {
    return (this.#caller.fails || this.#faults.blind) && this.waiting > 0
  }

  /** Opens the sink; the first write waits for that, but no longer than for a write. Rejects with what went wrong. */
  open(context: SinkContext): Promise<void> {
    const opening = limited(this.#options.clock, this.#feed.timeoutMs, () => this.sink.open?.(context))
    return opening.finally(this.#settleOpened)
  }

  /** From now on lines come from here; what waits in the store before goes first. Never rejects: a cursor is asked for until it is there. */
  async attach(feed: LineFeed): Promise<void> {
    try {
      const cursor = await feed.cursor(this.sink.name, this.#feed.from)
      this.#lanes.push(new Lane(feed, cursor, wantedLogs(this.sink.filter)))
    } catch (error) {
      this.#faults.broken(error)
      this.#options.clock.after(againMs, () => void (this.#caller.givenUp || this.attach(feed)))
    }
    this.grown()
  }

  /** There may be more to deliver. */
  grown(): void {
    for (const lane of this.#lanes) lane.passUnwanted((log, next) => this.#advance(lane, log, next))
    if (this.#pump.running !== undefined || this.#caller.givenUp) return
    const urgent = this.#closing || this.#acceptance.any
    const waiting = this.#due ? this.waiting : 0
    if (waiting > 0 && (urgent || waiting >= this.#feed.lines)) this.#pump.start()
    else if (waiting > 0 || this.#checkpointDue) this.#pump.arm()
  }

  /** Resolves once the sink has got past this line of the log that is written now; rejects if it does not get it, or is closed before. */
  accepted(log: LogName, index: number): Promise<void> {
    if ((this.#lanes.at(-1)?.cursor.next(log) ?? 0) > index) return Promise.resolve()
    const promise = this.#acceptance.of(log, index)
    this.grown()
    return promise
  }

  /** Delivers what waits, for at most `deadlineMs`; returns how many lines the sink did not get. */
  async close(deadlineMs: number): Promise<number> {
    this.#closing = true
    const { clock } = this.#options
    const left = timeLeft(clock, deadlineMs)
    this.#caller.hurry()
    while ((this.#due || this.#checkpointDue) && left() > 0) {
      this.#pump.start()
      await within(clock, this.#pump.running ?? Promise.resolve(), left(), undefined)
    }
    this.#caller.giveUp()
    this.#pump.stop()
    await within(clock, this.#pump.running ?? Promise.resolve(), 100, undefined)
    this.#acceptance.close()
    // A sink that hangs in close would keep the whole trail open, and so would a disk that does not answer.
    const limit = <T>(promise: Promise<T>, fallback: T) => within(clock, promise, Math.max(left(), 100), fallback)
    await step(() => limit(Promise.resolve(this.sink.close?.()), undefined), undefined, this.#faults.closing)
    const told = await limit(toldInWaiting(this.#lanes, this.sink.name), 0)
    return told + this.waiting - this.#ahead + this.#losses.untold
  }

  get #due(): boolean {
    return this.#lanes.some(({ due }) => due !== undefined)
  }

  get #checkpointDue(): boolean {
    return this.sink.checkpoint !== undefined && this.#lanes.some(({ checkpointDue }) => checkpointDue)
  }

  async #deliver(): Promise<void> {
    try {
      await this.#all()
      this.#faults.whole()
    } catch (error) {
      // A fault of ours, or of what the host gave us: it must not end the process, nor be met again at once.
      this.#faults.broken(error)
      await this.#caller.sleep(againMs)
    }
  }

  async #all(): Promise<void> {
    await this.#opened
    while (!this.#caller.givenUp) {
      const lane = this.#lanes[0]
      if (lane === undefined) return
      const log = lane.due
      if (log !== undefined) await this.#lines(lane, log)
      else if (!(await this.#checkpoints(lane))) {
        if (this.#lanes.length === 1) return
        this.#lanes.shift()
      }
    }
  }

  async #lines(lane: Lane, log: LogName): Promise<void> {
    const from = lane.cursor.next(log)
    const stretch = await lane.feed.read(log, from, this.#feed, lane.readers[log]).catch((error: unknown) => {
      // At the end there is no time for more than a second try, and the next start has it.
      if (this.#faults.unread(log, error) && this.#closing) lane.stuck.add(log)
    })
    if (stretch === undefined) return this.#caller.sleep(lane.stuck.has(log) ? 0 : againMs)
    this.#faults.readable(log)
    if ('through' in stretch) await this.#missing(lane, log, from, stretch)
    else await this.#portion(lane, log, from, stretch.lines)
  }

  async #portion(lane: Lane, log: LogName, from: number, texts: readonly string[]): Promise<void> {
    const { origin } = lane.feed.bounds(log)
    const end = from + texts.length
    const all = texts.map((line, i): Indexed => ({ index: from + i, line }))
    const lines = this.#filter === undefined ? all : all.filter(({ line }) => this.#filter!(log, line))
    if (lines.length === 0) return this.#advance(lane, log, end)
    const handed = await hand(this.sink, this.#caller, { origin, first: from, last: end - 1, lines })
    const { through, refused, retryAfterMs, stopped } = handed
    const untold = await this.#losses.settle(lane.feed, log, origin, lines, handed)
    const settled = Math.min(through, untold)
    if (lane === this.#lanes.at(-1)) this.#acceptance.refused(log, handed)
    if (untold < through && this.#losses.over) lane.stuck.add(log)
    if (settled > from) this.#advance(lane, log, settled)
    this.#ahead += acceptedFrom(settled, lines, handed)
    if (typeof stopped === 'object' && settled === through) await this.#resume(lane, log, settled, stopped.resumeAt)
    if (refused.length === lines.length) await this.#allRefused(refused, retryAfterMs)
  }

  /** Without a pause one that asks for what it gets, for what is gone, or for the same once more, would do so without end. */
  async #resume(lane: Lane, log: LogName, from: number, at: number): Promise<void> {
    lane.cursor.advance(log, await lane.placeOf(log, at, this.sink.missing !== undefined))
    const next = lane.cursor.next(log)
    const times = lane.asked(log, at, from)
    if (times === 0 && next < from && next >= lane.feed.bounds(log).first) return
    this.#caller.failing(
      new Error(`it asked for line ${at} instead of ${from}`),
      'an audit sink asks for other lines',
      true,
    )
    await this.#caller.pause(next < from ? againMs * 2 ** Math.min(times, 5) : 0)
  }

  async #allRefused(refused: readonly Refused[], retryAfterMs: number): Promise<void> {
    const announce = !refused.every(({ line }) => onlyTells(line))
    this.#caller.failing(new Error(refused[0]!.why), 'an audit sink refuses all lines', announce)
    if (!this.#closing) await this.#caller.pause(retryAfterMs)
  }

  /** Tells the sink of lines that are gone, and the log that it did not get them. */
  async #missing(lane: Lane, log: LogName, from: number, gap: Exclude<Stretch, { lines: unknown }>): Promise<void> {
    const { origin } = lane.feed.bounds(log)
    const last = gap.through - 1
    const stopped = await handMissing(this.sink, this.#caller, lane.feed, { log, origin, first: from, last })
    if (stopped === 'given-up') return
    if (stopped !== undefined) return this.#resume(lane, log, from, stopped.resumeAt)
    const lost = { origin, first: from, last, reason: gap.reason }
    if (gap.reason === 'lost') this.#faults.lost(lost, gap.why)
    if (lane === this.#lanes.at(-1)) this.#acceptance.lost(log, from, last)
    if (await this.#losses.tell(lane.feed, log, lost)) this.#advance(lane, log, gap.through)
    else if (this.#losses.over) lane.stuck.add(log)
  }

  async #checkpoints(lane: Lane): Promise<boolean> {
    let some = false
    for (const log of lanesOrder) {
      const checkpoint = this.sink.checkpoint === undefined ? undefined : lane.checkpoint(log)
      if (checkpoint === undefined) continue
      const answer = await this.#caller.call((signal) => this.sink.checkpoint!(checkpoint, signal))
      if (answer === 'given-up') return false
      if (answer?.resumeAt !== undefined) await this.#resume(lane, log, lane.cursor.next(log), answer.resumeAt)
      else lane.checked[log] = checkpoint.size
      some = true
    }
    return some
  }

  #advance(lane: Lane, log: LogName, next: number): void {
    lane.cursor.advance(log, next)
    if (lane === this.#lanes.at(-1)) this.#acceptance.passed(log, next)
  }
}
