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
  /** Returns where the line that tells it stands; undefined if it was not taken. */
  readonly onGap: (log: LogName, fields: GapFields) => Ticket | undefined
  /** Resolves once that line is durable. */
  readonly durable: (ticket: Ticket) => Promise<void>
}

/** How soon is tried again what the log does not take now. */
const againMs = 1000

export class Losses {
  readonly #sink: string
  readonly #caller: Caller
  readonly #options: LossOptions
  /** Refused lines that no further line will tell, for they told of losses themselves; and what they told. */
  untold = 0

  constructor(sink: string, caller: Caller, options: LossOptions) {
    this.#sink = sink
    this.#caller = caller
    this.#options = options
  }

  /** Keeps what was refused, and tells of it. Returns the first index of which that was given up; the cursor must not pass it. */
  async refused(feed: LineFeed, log: LogName, origin: string, { refused, unnamed }: Handed): Promise<number> {
    const untold = await this.#unnamed(log, origin, unnamed)
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
      if (!(await this.tell(log, { origin, first, last, reason: 'rejected' }))) return Math.min(first, untold)
    }
    return untold
  }

  /** Tells how many were refused among which. They are not kept: most of them were accepted. */
  async #unnamed(log: LogName, origin: string, unnamed: readonly Unnamed[]): Promise<number> {
    for (const { lines, count, why } of unnamed) {
      this.#options.logger.warn({ sink: this.#sink, lines: count, error: why }, 'an audit sink refused lines')
      const [first, last] = [lines[0]!.index, lines.at(-1)!.index]
      if (lines.every(({ line }) => onlyTells(line))) this.untold += count
      else if (!(await this.tell(log, { origin, first, last, reason: 'rejected' }, count))) return first
    }
    return Infinity
  }

  /** Resolves to true once a durable line tells it, and to false if that was given up. */
  async tell(
    log: LogName,
    lost: { origin: string; first: number; last: number; reason: GapFields['reason'] },
    count = lost.last - lost.first + 1,
  ): Promise<boolean> {
    const fields = { sink: this.#sink, ...lost, count }
    while (!this.#caller.givenUp) {
      const ticket = this.#options.onGap(log, fields)
      if (ticket === undefined) await this.#caller.sleep(againMs)
      else
        return this.#options.durable(ticket).then(
          () => true,
          () => false,
        )
    }
    return false
  }
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
