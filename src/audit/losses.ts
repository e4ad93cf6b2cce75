// What a sink does not get: kept where it can be, and told by a durable line before the sink's cursor passes it.
import { reasonOf } from '../errors.ts'
import type { EventFields, Ticket } from '../events.ts'
import type { Logger } from '../runtime.ts'
import type { LineFeed, LogName } from '../sink.ts'
import type { Caller } from './caller.ts'
import type { Handed, Unnamed } from './handing.ts'
import { onlyTells, toldIn } from './telling.ts'

type GapFields = EventFields<'audit.gap'>['log']

export interface LossOptions {
  readonly logger: Logger
  /** Returns where the line that tells it stands; undefined if it was not taken, `closed` if none will be. */
  readonly onGap: (log: LogName, fields: GapFields) => GapPlace | 'closed' | undefined
  /** Resolves once that line is durable. */
  readonly durable: (ticket: Ticket) => Promise<void>
}

export interface GapPlace extends Ticket {
  readonly origin: string | undefined
}

/** Lines of one log that the sink does not get. */
interface Lost {
  readonly origin: string
  readonly first: number
  readonly last: number
  readonly reason: GapFields['reason']
  /** How many of those from `first` to `last`. */
  readonly count: number
}

/** How soon is tried again what the log does not take now. */
const againMs = 1000

export class Losses {
  readonly #sink: string
  readonly #caller: Caller
  readonly #options: LossOptions
  /**
   * Lost lines that no line tells: for they told of losses themselves (what they told counts too), or because it is too late for
   * that, and no other process will find them missing.
   */
  untold = 0
  /** Whether it was too late to tell something: nothing more will be told. */
  over = false
  /** What was told by lines that the sink may not have got: one that is lost in turn must be told anew. Written by tell. */
  #told: { readonly place: GapPlace; readonly lost: Lost }[] = []

  constructor(sink: string, caller: Caller, options: LossOptions) {
    this.#sink = sink
    this.#caller = caller
    this.#options = options
  }

  /** Keeps what was refused, and tells of it. Returns the first index of which that was given up; the cursor must not pass it. */
  async refused(feed: LineFeed, log: LogName, origin: string, { refused, unnamed }: Handed): Promise<number> {
    const untold = await this.#unnamed(feed, log, origin, unnamed)
    const { logger } = this.#options
    if (refused[0] === undefined) return untold
    logger.warn({ sink: this.#sink, lines: refused.length, error: refused[0].why }, 'an audit sink refused lines')
    const told: number[] = []
    for (const { index, line, why } of refused) {
      try {
        await feed.bury(this.#sink, line, why)
      } catch (error) {
        logger.error({ sink: this.#sink, error: reasonOf(error) }, 'a refused line cannot be kept')
      }
      // A sink that refuses just what tells of its refusals would be sent such lines without end.
      if (onlyTells(line)) this.untold += 1 + toldIn(line, this.#sink)
      else told.push(index)
    }
    for (const [first, last] of ranges(told)) {
      if (!(await this.tell(feed, log, { origin, first, last, reason: 'rejected' }))) return Math.min(first, untold)
    }
    return untold
  }

  /** Tells how many were refused among which. They are not kept: most of them were accepted. */
  async #unnamed(feed: LineFeed, log: LogName, origin: string, unnamed: readonly Unnamed[]): Promise<number> {
    for (const { lines, count, why } of unnamed) {
      this.#options.logger.warn({ sink: this.#sink, lines: count, error: why }, 'an audit sink refused lines')
      const [first, last] = [lines[0]!.index, lines.at(-1)!.index]
      if (lines.every(({ line }) => onlyTells(line))) this.untold += count
      else if (!(await this.tell(feed, log, { origin, first, last, reason: 'rejected' }, count))) return first
    }
    return Infinity
  }

  /**
   * Resolves to true once durable lines tell it, or it is counted because they never will; and to false if that was given up, so
   * that the next process must find it.
   */
  async tell(
    feed: LineFeed,
    log: LogName,
    range: Omit<Lost, 'count'>,
    count = range.last - range.first + 1,
  ): Promise<boolean> {
    const lost = { ...range, count }
    const here = this.#told.filter(({ place }) => place.log === log && place.origin === lost.origin)
    const passed = here.filter(({ place }) => place.index! <= lost.last)
    const again = passed.filter(({ place }) => place.index! >= lost.first)
    for (const one of joined([...again.map((told) => told.lost), lost]))
      if (!(await this.#tell(feed, log, one))) return false
    this.#told = this.#told.filter((one) => !passed.includes(one))
    return true
  }

  async #tell(feed: LineFeed, log: LogName, lost: Lost): Promise<boolean> {
    const fields = { sink: this.#sink, ...lost }
    while (!this.#caller.givenUp) {
      const place = this.#options.onGap(log, fields)
      if (place === undefined) {
        await this.#caller.sleep(againMs)
        continue
      }
      if (place === 'closed') {
        this.over = true
        if (!feed.lasting) this.untold += lost.count
        return !feed.lasting
      }
      this.#told.push({ place, lost })
      return this.#options.durable(place).then(
        () => true,
        () => false,
      )
    }
    return false
  }
}

/** Those that follow each other as one. */
function joined(all: readonly Lost[]): Lost[] {
  const found: Lost[] = []
  for (const lost of all) {
    const before = found.at(-1)
    if (before?.last === lost.first - 1 && before.reason === lost.reason && before.origin === lost.origin)
      found[found.length - 1] = { ...before, last: lost.last, count: before.count + lost.count }
    else found.push(lost)
  }
  return found
}

/** Runs of consecutive numbers. */
function ranges(indexes: readonly number[]): [first: number, last: number][] {
  const found: [number, number][] = []
  for (const index of indexes) {
    const run = found.at(-1)
    if (run !== undefined && run[1] + 1 === index) run[1] = index
    else found.push([index, index])
  }
  return found
}
