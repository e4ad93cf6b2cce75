// Verifies the lines of one segment.
import { type LoggedEvent, member, parseLine, placeFault } from './envelope.ts'
import type { HashAudit } from './hash-audit.ts'
import { type KeyChange, keyChangeOf } from './key-line.ts'
import { LineReader, lineStart } from './lines.ts'
import { addGap, type LogReport } from './log-report.ts'
import { leafHashIn } from './merkle.ts'
import { isMissing, type Segment } from './segments.ts'

/** What the lines of a log are held against, and what they tell. */
export interface SignedLog {
  /** Undefined where the checkpoint does not tell. */
  readonly origin: string | undefined
  readonly hashes: HashAudit
  readonly report: LogReport
  /** Signed lines tell that retention deleted those below this index. Written by verifySegment. */
  prunedBelow: number
  /** Changes of keys that signed lines tell of. Written by verifySegment. */
  readonly changes: KeyChange[]
}

/** Returns the index behind the last whole line; undefined if the segment is gone. */
export async function verifySegment(segment: Segment, last: boolean, log: SignedLog): Promise<number | undefined> {
  let reader: LineReader
  try {
    reader = await LineReader.open(segment.path)
  } catch (error) {
    if (isMissing(error)) return undefined
    log.report.addUnreadable(segment.path, error)
    return segment.first
  }
  const at = { index: segment.first }
  try {
    await verifyLines(reader, segment, last, log, at)
  } catch (error) {
    log.report.addUnreadable(segment.path, error)
  } finally {
    await reader.close()
  }
  return at.index
}

async function verifyLines(
  reader: LineReader,
  { path: file, first }: Segment,
  last: boolean,
  log: SignedLog,
  at: { index: number },
): Promise<void> {
  const { report, hashes } = log
  for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
    for (let i = 0; i < block.ends.length; i++, at.index++) {
      const { index } = at
      const [start, end] = [lineStart(block, i), block.ends[i]!]
      const place = { file, line: index - first + 1, index }
      report.lines++
      const signed = index < report.signed
      if (!signed) report.unsigned++
      if (signed && !(await hashes.matches(index, leafHashIn(block.buffer, start, end), place))) continue
      const event = parseLine(block.buffer.toString('utf8', start, end))
      const fault = placeFault(event, log.origin, index)
      if (fault !== undefined) report.add({ ...place, fact: fault })
      else hear(event!, index, signed, log)
    }
  }
  // Behind the last line end of the last segment a line may be in the making.
  if (reader.rest.length > 0 && (reader.overlong || !last || at.index < report.signed)) {
    const fact = reader.overlong ? 'the line is longer than a line can be' : 'the line has no end'
    report.add({ file, line: at.index - first + 1, index: at.index, fact })
  }
}

/** What a line tells of its own log. Only what is signed can excuse something. */
function hear(event: LoggedEvent, index: number, signed: boolean, log: SignedLog): void {
  addGap(log.report.gaps, event)
  if (!signed) return
  const change = keyChangeOf(event, index)
  if (change !== undefined) log.changes.push(change)
  if (member(event, 'event_name') !== 'audit.pruned') return
  const last = member(event, 'log', 'last')
  if (typeof last === 'number' && Number.isSafeInteger(last)) log.prunedBelow = Math.max(log.prunedBelow, last + 1)
}
