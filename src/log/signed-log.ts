// A log as verification reads it: what its lines are held against, and what they tell of it.
import { type LoggedEvent, member } from './envelope.ts'
import type { HashAudit } from './hash-audit.ts'
import { type KeyChange, keyChangeOf } from './key-line.ts'
import { addGap, type LogReport } from './log-report.ts'

export interface SignedLog {
  /** Undefined where the checkpoint does not tell. */
  readonly origin: string | undefined
  readonly hashes: HashAudit
  readonly report: LogReport
  /** Signed lines tell that retention deleted those below this index. Written by hear. */
  prunedBelow: number
  /** Changes of keys that signed lines tell of. Written by hear. */
  readonly changes: KeyChange[]
}

/** What a line tells of its own log. Only what is signed can excuse something. */
export function hear(event: LoggedEvent, index: number, signed: boolean, log: SignedLog): void {
  addGap(log.report.gaps, event)
  if (!signed) return
  const change = keyChangeOf(event, index)
  if (change !== undefined) log.changes.push(change)
  if (member(event, 'event_name') !== 'audit.pruned') return
  const last = member(event, 'log', 'last')
  if (typeof last === 'number' && Number.isSafeInteger(last)) log.prunedBelow = Math.max(log.prunedBelow, last + 1)
}
