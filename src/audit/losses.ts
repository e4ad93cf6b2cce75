// What a sink does not get: kept where it can be, and told by a durable line before the sink's cursor passes it.
import { reasonOf } from '../errors.ts'
import type { EventFields, Ticket } from '../events.ts'
import type { Logger } from '../runtime.ts'
import type { LineFeed, LogName } from '../sink.ts'
import type { Caller } from './caller.ts'
import type { Handed, Indexed, Unnamed } from './handing.ts'
import { onlyTells, toldBy } from './telling.ts'

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

/** What told only, and is told anew in one line once the sink has taken something. */
interface Owed {
  readonly feed: LineFeed
  readonly log: LogName
  readonly lost: Lost
}

/** How soon is tried again what the log does not take now. */
const againMs = 1000

export class Losses {
  readonly #sink: string
  readonly #caller: Caller
  readonly #options: LossOptions
  /** Lost lines that no line tells, because it is too late for that, and no other process will find them missing. */
  #late = 0
  /** Lost lines that told of losses themselves, with what they told, by origin: a sink may refuse just such lines. Written by owe, tellAnew. */
  readonly #owed = new Map<string, Owed>()
  /** Whether that was told anew since a line that tells was accepted. */
  #anew = false
  /** Whether it was too late to tell something: nothing more will be told. */
  over = false
  /** What was told by lines that the sink may not have got: one that is lost in turn must be told anew. Written by tell. */
  #told: { readonly place: GapPlace; readonly lost: Lost }[] = []

  constructor(sink: string, caller: Caller, options: LossOptions) {
    this.#sink = sink
    this.#caller = caller
    this.#options = options
  }

  /** Lost lines of which no line tells the sink. */
  get untold(): number {
    let sum = this.#late
    for (const { lost } of this.#owed.values()) sum += lost.count
    return sum
  }

  /**
   * Keeps what was refused of these lines, and tells of it. Returns the first index of which that was given up; the cursor must not
   * pass it.
   */
  async settle(
    feed: LineFeed,
    log: LogName,
    origin: string,
    lines: readonly Indexed[],
    handed: Handed,
  ): Promise<number> {
    const untold = await this.#unnamed(feed, log, origin, handed.unnamed)
    const first = handed.refused[0] === undefined ? Infinity : await this.#refused(feed, log, origin, handed.refused)
    if (this.#owed.size > 0) await this.#tellAnew(lines, handed)
    return Math.min(untold, first)
  }

  async #refused(feed: LineFeed, log: LogName, origin: string, refused: Handed['refused']): Promise<number> {
    const { logger } = this.#options
    logger.warn({ sink: this.#sink, lines: refused.length, error: refused[0]!.why }, 'an audit sink refused lines')
    const told: number[] = []
    for (const { index, line, why } of refused) {
      try {
        await feed.bury(this.#sink, line, why)
      } catch (error) {
        logger.error({ sink: this.#sink, error: reasonOf(error) }, 'a refused line cannot be kept')
      }
      // A sink that refuses just what tells of its refusals would be sent such lines without end.
      if (!onlyTells(line)) told.push(index)
      else {
        this.#owe(feed, log, { origin, first: index, last: index, count: 1, reason: 'rejected' })
        const lost = toldBy(line, this.#sink)
        if (lost !== undefined) this.#owe(feed, log, { ...lost, reason: 'rejected' })
      }
    }
    for (const [first, last] of ranges(told)) {
      if (!(await this.tell(feed, log, { origin, first, last, reason: 'rejected' }))) return first
    }
    return Infinity
  }

  #owe(feed: LineFeed, log: LogName, lost: Lost): void {
    const before = this.#owed.get(lost.origin)?.lost ?? lost
    const count = before === lost ? lost.count : before.count + lost.count
    const range = { first: Math.min(before.first, lost.first), last: Math.max(before.last, lost.last) }
    this.#owed.set(lost.origin, { feed, log, lost: { ...lost, ...range, count } })
  }

  /**
   * Tells what is owed, in one line for each log, once the sink has accepted a line; a second time only once it has accepted one that
   * tells. Nothing is told so in answer to its own refusal.
   */
  async #tellAnew(lines: readonly Indexed[], { through, refused, unnamed }: Handed): Promise<void> {
    const gone = new Set([...refused, ...unnamed.flatMap((one) => one.lines)].map(({ index }) => index))
    const accepted = lines.filter(({ index }) => index < through && !gone.has(index))
    if (accepted.some(({ line }) => onlyTells(line))) this.#anew = false
    if (this.#anew || accepted.length === 0) return
    this.#anew = true
    for (const [origin, { feed, log, lost }] of [...this.#owed])
      if (!this.over && (await this.#tell(feed, log, lost))) this.#owed.delete(origin)
  }

  /** Tells how many were refused among which. They are not kept: most of them were accepted. */
  async #unnamed(feed: LineFeed, log: LogName, origin: string, unnamed: readonly Unnamed[]): Promise<number> {
    for (const { lines, count, why } of unnamed) {
      this.#options.logger.warn({ sink: this.#sink, lines: count, error: why }, 'an audit sink refused lines')
      const [first, last] = [lines[0]!.index, lines.at(-1)!.index]
      if (lines.every(({ line }) => onlyTells(line)))
        this.#owe(feed, log, { origin, first, last, count, reason: 'rejected' })
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
        if (!feed.lasting) this.#late += lost.count
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
