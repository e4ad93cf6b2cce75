// Which segments go next: by age, by the size of their log, and by the budget of all logs together.
import { type LogName, logNames } from '../sink.ts'
import type { RetentionPolicy } from './options.ts'
import type { Segment } from './segments.ts'

/** A log as retention sees it. */
export interface Kept {
  readonly log: LogName
  /** The oldest first. */
  readonly closed: readonly Segment[]
  readonly bytesWhenFull: number
}

export interface Deletion<L extends Kept> {
  readonly log: L
  /** How many segments, from the oldest on. */
  readonly count: number
  readonly reason: 'age' | 'size' | 'budget'
}

/** The next deletion; `logs` are those that no hold keeps. A log that is held takes no room from the others. */
export function nextDeletion<L extends Kept>(
  logs: readonly L[],
  policy: RetentionPolicy,
  maxBytes: number,
  now: number,
): Deletion<L> | undefined {
  for (const log of logs) {
    const { maxAgeMs, maxBytes: most = Infinity } = policy[log.log]
    const young = log.closed.findIndex(({ at }) => at >= now - maxAgeMs)
    const old = young === -1 ? log.closed.length : young
    if (old > 0) return { log, count: old, reason: 'age' }
    const count = enough(log.closed, log.bytesWhenFull - most)
    if (count > 0) return { log, count, reason: 'size' }
  }
  const excess = logs.reduce((sum, one) => sum + one.bytesWhenFull, 0) - maxBytes
  const order = [...logs].sort((a, b) => logNames.indexOf(a.log) - logNames.indexOf(b.log))
  for (const log of excess > 0 ? order : []) {
    const count = enough(log.closed, excess)
    if (count > 0) return { log, count, reason: 'budget' }
  }
  return undefined
}

/** How many segments make up so many bytes; all if they do not. */
function enough(closed: readonly Segment[], bytes: number): number {
  let count = 0
  for (let sum = 0; count < closed.length && sum < bytes; count++) sum += closed[count]!.bytes
  return count
}
