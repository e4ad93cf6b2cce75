// Delivery: feeds one sink from its queue, batch by batch, and outlasts its faults.
import { type Clock, type Timer, within } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { EventFields } from '../events.ts'
import { below, type Random } from '../random.ts'
import type { Logger } from '../runtime.ts'
import type { Batch, Feed, LogName, Sink, SinkContext } from '../sink.ts'
import { LineQueue, type Lost, sizeOf } from './queue.ts'

const feedDefaults: Feed = { lines: 500, bytes: 1 << 20, intervalMs: 1000, timeoutMs: 10_000, queueBytes: 32 << 20 }

/** The pause before the n-th retry is drawn from 0 to min(cap, base · 2ⁿ): full jitter (M. Brooker, AWS, 2015). */
const pauseBaseMs = 250
const pauseCapMs = 30_000
/** A day: what is above could overflow a timer, which would then fire at once. */
const mostRetryAfterMs = 86_400_000

export interface DeliveryOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly onChanged: (fields: EventFields<'audit.sink_changed'>['log']) => void
  /** Returns whether the gap was recorded: a trail that closes takes no more events. */
  readonly onGap: (log: LogName, fields: EventFields<'audit.gap'>['log']) => boolean
}

export class Delivery {
  readonly sink: Sink
  readonly #options: DeliveryOptions
  readonly #feed: Feed
  readonly #queue: LineQueue
  #timer: Timer | undefined
  #pumping: Promise<void> | undefined
  #failures = 0
  #current: Batch | undefined
  #wake: (() => void) | undefined
  #givenUp = false
  #opening: Promise<void> = Promise.resolve()
  /** Ends the write under way. */
  #abort: AbortController | undefined
  /** Lines in gaps that could not be recorded any more. */
  #untold = 0

  constructor(sink: Sink, options: DeliveryOptions) {
    this.sink = sink
    this.#options = options
    this.#feed = { ...feedDefaults, ...sink.feed }
    this.#queue = new LineQueue(this.#feed.queueBytes)
  }

  /** Lines that the sink has not accepted yet. */
  get waiting(): number {
    return this.#queue.count + (this.#current?.lines.length ?? 0)
  }

  /** Opens the sink; the first write waits for that, but no longer than for a write. Rejects with what went wrong. */
  open(context: SinkContext): Promise<void> {
    const opening = this.#limited(() => this.sink.open?.(context))
    this.#opening = opening.catch(() => undefined)
    return opening
  }

  push(log: LogName, origin: string, index: number, line: string, tellsLoss: boolean): void {
    this.#queue.push(log, origin, index, line, tellsLoss)
    if (this.#pumping !== undefined) return
    if (this.#queue.count >= this.#feed.lines || this.#queue.bytes >= this.#feed.bytes) this.#start()
    else this.#arm()
  }

  /** Delivers what waits, for at most `deadlineMs`; returns how many lines the sink did not get. */
  async close(deadlineMs: number): Promise<number> {
    const { clock } = this.#options
    const deadline = clock.monoUs() + deadlineMs * 1000
    const left = (): number => Math.max(0, (deadline - clock.monoUs()) / 1000)
    while (this.waiting > 0 && left() > 0) {
      if (this.#pumping === undefined) this.#start()
      this.#wake?.()
      await within(clock, this.#pumping ?? Promise.resolve(), left(), undefined)
    }
    this.#givenUp = true
    this.#wake?.()
    this.#timer?.cancel()
    this.#abort?.abort()
    try {
      // A sink that hangs in close would keep the whole trail open.
      await within(clock, Promise.resolve(this.sink.close?.()), Math.max(left(), 100), undefined)
    } catch (error) {
      this.#options.logger.error({ sink: this.sink.name, error: reasonOf(error) }, 'an audit sink failed to close')
    }
    return this.#undelivered()
  }

  // What waits, and the losses that nothing has told the sink.
  #undelivered(): number {
    const { waiting } = this
    const lost = this.#queue.takeLost().map(({ range }) => range)
    const batches: (Batch | undefined)[] = [this.#current]
    for (let next = this.#queue.take(500, 1 << 20); next !== undefined; next = this.#queue.take(500, 1 << 20))
      batches.push(next.batch)
    for (const batch of batches) if (batch !== undefined) lost.push(...this.#toldBy(batch))
    return lost.reduce((sum, range) => sum + sizeOf(range), waiting + this.#untold)
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = undefined
      // What came after the last look at the queue set no timer.
      if (this.#queue.count > 0 && !this.#givenUp) this.#arm()
    })
  }

  #arm(): void {
    // It holds the process: one that ends by itself still delivers its last lines.
    this.#timer ??= this.#options.clock.after(this.#feed.intervalMs, () => this.#start(), true)
  }

  async #pump(): Promise<void> {
    await this.#opening
    while (!this.#givenUp) {
      const next = this.#queue.take(this.#feed.lines, this.#feed.bytes)
      if (next === undefined) return
      this.#current = next.batch
      await this.#deliver(next.log, next.batch)
      if (!this.#givenUp) this.#current = undefined
    }
  }

  async #deliver(log: LogName, batch: Batch): Promise<void> {
    while (!this.#givenUp) {
      try {
        await this.#write(batch)
        this.#recovered()
        return
      } catch (error) {
        const { permanent, retryAfterMs } = faultOf(error)
        if (permanent) {
          this.#refused(log, batch, error)
          return
        }
        await this.#pause(error, retryAfterMs)
      }
    }
  }

  async #write(batch: Batch): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    try {
      await this.#limited(() => this.sink.write(batch, abort.signal))
    } catch (error) {
      abort.abort()
      throw error
    } finally {
      this.#abort = undefined
    }
  }

  /** What the sink is asked to do, for no longer than its timeout. A sink may throw where it should reject. */
  #limited(act: () => Promise<void> | undefined): Promise<void> {
    const { timeoutMs } = this.#feed
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)))
      Promise.resolve()
        .then(act)
        .then(() => resolve(), reject)
        .finally(() => timer.cancel())
    })
  }

  async #pause(error: unknown, atLeastMs: number): Promise<void> {
    const { clock, random } = this.#options
    this.#failing(error, 'an audit sink fails; its lines wait, and are tried again')
    const most = Math.min(pauseCapMs, pauseBaseMs * 2 ** Math.min(this.#failures - 1, 20))
    const ms = Math.max(atLeastMs, below(random, most))
    await new Promise<void>((resolve) => {
      const timer = clock.after(ms, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
      if (this.#givenUp) this.#wake()
    })
    this.#wake = undefined
  }

  // The loss is told once the sink accepts lines again. Told to one that refuses everything, it would be refused too, and
  // so would be what tells that, without end.
  #refused(log: LogName, batch: Batch, error: unknown): void {
    const { origin, first, last } = batch
    this.#queue.lose(log, { origin, first, last, reason: 'rejected' })
    for (const range of this.#toldBy(batch)) this.#queue.lose(log, range)
    this.#failing(error, 'an audit sink refused lines for good')
  }

  /** The losses of this sink that these lines tell: while it has not got them, they are untold. */
  #toldBy({ lines }: Pick<Batch, 'lines'>): Lost[] {
    return lines.flatMap((line) => {
      if (!line.includes('"event_name":"audit.gap"')) return []
      const { event_name, log } = JSON.parse(line) as { event_name: string; log: Lost & { sink?: string } }
      const { sink, origin, first, last, reason } = log
      return event_name === 'audit.gap' && sink === this.sink.name ? [{ origin, first, last, reason }] : []
    })
  }

  #failing(error: unknown, message: string): void {
    if (++this.#failures > 1) return
    const { logger, onChanged } = this.#options
    const fault = reasonOf(error)
    const { name } = this.sink
    logger.warn({ sink: name, error: fault }, message)
    onChanged({ sink: name, from: 'ok', to: 'failing', failures: 1, waiting: this.waiting, last_error: fault })
  }

  #recovered(): void {
    const failures = this.#failures
    this.#failures = 0
    for (const { log, range } of this.#queue.takeLost()) {
      const { origin, first, last, reason } = range
      const count = sizeOf(range)
      const told = this.#options.onGap(log, { sink: this.sink.name, origin, first, last, count, reason })
      if (!told) this.#untold += count
    }
    if (failures === 0) return
    this.#options.logger.warn({ sink: this.sink.name, failures }, 'an audit sink accepts lines again')
    this.#options.onChanged({ sink: this.sink.name, from: 'failing', to: 'ok', failures, waiting: this.waiting })
  }
}

function faultOf(error: unknown): { permanent: boolean; retryAfterMs: number } {
  const told =
    typeof error === 'object' && error !== null ? (error as { permanent?: unknown; retryAfterMs?: unknown }) : {}
  return {
    permanent: told.permanent === true,
    // No number, or a negative one, asks for nothing.
    retryAfterMs: Number(told.retryAfterMs) > 0 ? Math.min(Number(told.retryAfterMs), mostRetryAfterMs) : 0,
  }
}
