// Delivery: feeds one sink from its queue, batch by batch, and outlasts its faults.
import { type Clock, type Timer, timeLeft, within } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { EventFields } from '../events.ts'
import type { Random } from '../random.ts'
import type { Logger } from '../runtime.ts'
import type { Batch, Feed, LogName, Sink, SinkContext } from '../sink.ts'
import { faultOf, limited, pauseAfter } from './fault.ts'
import { feedSchema } from './feed.ts'
import { LineQueue, sizeOf } from './queue.ts'
import { onlyTell, toldIn } from './telling.ts'
import { safeText } from './text.ts'

export interface DeliveryOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly onChanged: (fields: EventFields<'audit.sink_changed'>['log']) => void
  /** Returns whether the line that tells it was taken. */
  readonly onGap: (log: LogName, fields: EventFields<'audit.gap'>['log']) => boolean
  /** Lines were lost, and `tellLosses` has something to do. */
  readonly onLoss: () => void
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
  /** Whether the sink's failing was told in a line; the logger hears of it in any case. */
  #announced = false
  #closing = false
  #givenUp = false
  #opening: Promise<void> = Promise.resolve()
  /** Ends the write under way. */
  #abort: AbortController | undefined
  /** Lost lines that no further line will tell: they told of losses themselves, and what those told. */
  #untold = 0

  constructor(sink: Sink, options: DeliveryOptions) {
    this.sink = sink
    this.#options = options
    this.#feed = feedSchema.parse(sink.feed)
    this.#queue = new LineQueue(this.#feed.queueBytes)
  }

  /** Lines that the sink has not accepted yet. */
  get waiting(): number {
    return this.#queue.count + (this.#current?.lines.length ?? 0)
  }

  /** Opens the sink; the first write waits for that, but no longer than for a write. Rejects with what went wrong. */
  open(context: SinkContext): Promise<void> {
    const opening = limited(this.#options.clock, this.#feed.timeoutMs, () => this.sink.open?.(context))
    this.#opening = opening.catch(() => undefined)
    return opening
  }

  push(log: LogName, origin: string, index: number, line: string, tellsLoss: boolean): void {
    if (!this.#queue.push(log, origin, index, line, tellsLoss)) this.#options.onLoss()
    if (this.#pumping !== undefined) return
    if (this.#queue.count >= this.#feed.lines || this.#queue.bytes >= this.#feed.bytes) this.#start()
    else this.#arm()
  }

  /** Tells what was lost, if the sink is well: one that is not is told when it accepts lines again. Returns whether some is left. */
  tellLosses(): boolean {
    return this.#failures === 0 && this.#pumping === undefined && this.#tellLosses()
  }

  /** Delivers what waits, for at most `deadlineMs`; returns how many lines the sink did not get. */
  async close(deadlineMs: number): Promise<number> {
    const { clock } = this.#options
    this.#closing = true
    const left = timeLeft(clock, deadlineMs)
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
    let untold = this.#untold
    for (const { range } of this.#queue.takeLost()) untold += sizeOf(range)
    let next: Batch | undefined = this.#current
    while (next !== undefined) {
      untold += toldIn(next.lines, this.sink.name)
      next = this.#queue.take(500, 1 << 20)?.batch
    }
    return waiting + untold
  }

  #start(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#pumping ??= this.#pump()
      .finally(() => {
        this.#pumping = undefined
        // What came after the last look at the queue set no timer.
        if (this.#queue.count > 0 && !this.#givenUp) this.#arm()
      })
      .catch((error: unknown) => this.#broken(error))
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
      try {
        await this.#deliver(next.log, next.batch)
      } catch (error) {
        // A fault of ours, or of what the host gave us: the process must not end for it, nor this sink's queue stand still.
        if (this.#current !== undefined)
          this.#untold += next.batch.lines.length + toldIn(next.batch.lines, this.sink.name)
        this.#current = undefined
        this.#broken(error)
      }
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
        if (permanent) this.#refused(log, batch, error)
        else this.#failing(error, 'an audit sink fails; its lines wait, and are tried again', true)
        // Each refusal drops a batch: at close that comes to an end by itself.
        if (!permanent || !this.#closing) await this.#pause(retryAfterMs)
        if (permanent) return
      }
    }
  }

  async #write(batch: Batch): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    try {
      await limited(this.#options.clock, this.#feed.timeoutMs, () => this.sink.write(batch, abort.signal))
    } catch (error) {
      abort.abort()
      throw error
    } finally {
      this.#abort = undefined
    }
  }

  async #pause(atLeastMs: number): Promise<void> {
    const { clock, random } = this.#options
    const ms = pauseAfter(this.#failures, random, atLeastMs)
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

  // The loss is told once the sink accepts lines again, by one line. A line that tells is not told by another one: a sink that
  // refuses just those would be sent them without end. What stands in one stays told, in the log.
  #refused(log: LogName, batch: Batch, error: unknown): void {
    const { origin, first, last, lines } = batch
    const tells = onlyTell(lines)
    this.#current = undefined
    this.#untold += toldIn(lines, this.sink.name)
    if (tells) this.#untold += lines.length
    else this.#queue.lose(log, { origin, first, last, reason: 'rejected' })
    this.#failing(error, 'an audit sink refused lines for good', !tells)
  }

  #failing(error: unknown, message: string, announce: boolean): void {
    const { logger, onChanged } = this.#options
    const fault = reasonOf(error)
    const { name } = this.sink
    if (++this.#failures === 1) logger.warn({ sink: name, error: fault }, message)
    if (this.#announced || !announce) return
    this.#announced = true
    const { waiting } = this
    onChanged({ sink: name, from: 'ok', to: 'failing', failures: this.#failures, waiting, last_error: safeText(fault) })
  }

  #recovered(): void {
    const failures = this.#failures
    this.#failures = 0
    this.#tellLosses()
    if (failures === 0) return
    this.#options.logger.warn({ sink: this.sink.name, failures }, 'an audit sink accepts lines again')
    if (!this.#announced) return
    this.#announced = false
    this.#options.onChanged({ sink: this.sink.name, from: 'failing', to: 'ok', failures, waiting: this.waiting })
  }

  // A range whose line was not taken is told later.
  #tellLosses(): boolean {
    let left = false
    for (const { log, range } of this.#queue.takeLost()) {
      const { origin, first, last, reason } = range
      const fields = { sink: this.sink.name, origin, first, last, count: sizeOf(range), reason }
      if (this.#options.onGap(log, fields)) continue
      this.#queue.lose(log, range)
      left = true
    }
    if (left) this.#options.onLoss()
    return left
  }

  #broken(error: unknown): void {
    this.#options.logger.error({ sink: this.sink.name, error: reasonOf(error) }, 'the delivery to an audit sink failed')
  }
}
