// Gaps: counts what could not be recorded, so that the log can say so.
import type { EventFields, EventName } from '../events.ts'
import type { LogName } from '../sink.ts'

type GapFields = EventFields<'audit.gap'>['log']

interface Open {
  count: number
  byType: Record<string, number>
  firstTime: string
  lastTime: string
  reason: GapFields['reason']
}

/** Events that were lost before they became lines, by log, until a line tells it. */
export class GapCounter {
  readonly #open = new Map<LogName, Open>()
  /** All events that were ever lost so. */
  total = 0

  lose(log: LogName, name: EventName, time: string, reason: GapFields['reason']): void {
    this.total++
    let gap = this.#open.get(log)
    if (gap === undefined) {
      gap = { count: 0, byType: {}, firstTime: time, lastTime: time, reason }
      this.#open.set(log, gap)
    }
    gap.count++
    gap.byType[name] = (gap.byType[name] ?? 0) + 1
    gap.lastTime = time
  }

  /** Those of them that no line has told. */
  get untold(): number {
    let sum = 0
    for (const { count } of this.#open.values()) sum += count
    return sum
  }

  /** Whether a line must tell of some. */
  get open(): boolean {
    return this.#open.size > 0
  }

  has(log: LogName): boolean {
    return this.#open.has(log)
  }

  /** What the next line of this log must tell. It stays open until `told`. */
  fields(log: LogName): GapFields {
    const { count, byType, firstTime, lastTime, reason } = this.#open.get(log)!
    return { count, by_type: byType, first_time: firstTime, last_time: lastTime, reason }
  }

  told(log: LogName): void {
    this.#open.delete(log)
  }
}
