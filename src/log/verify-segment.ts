// Verifies the lines of one segment.
import { envelopeFault, member, parseLine } from './envelope.ts'
import type { HashAudit } from './hash-audit.ts'
import { LineReader, lineStart } from './lines.ts'
import type { LogReport } from './log-report.ts'
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
}

const prunedMark = Buffer.from('"event_name":"audit.pruned"')

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
  const { report } = log
  for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
    for (let i = 0; i < block.ends.length; i++, at.index++) {
      const { index } = at
      const [start, end] = [lineStart(block, i), block.ends[i]!]
      const place = { file, line: index - first + 1, index }
      report.lines++
      const signed = index < report.signed
      if (!signed) report.unsigned++
      const altered = signed && !(await log.hashes.matches(index, leafHashIn(block.buffer, start, end), place))
      const text = block.buffer.toString('utf8', start, end)
      const fault = envelopeFault(text, log.origin, index)
      if (!altered && fault !== undefined) report.add({ ...place, fact: fault })
      if (signed && !altered && block.buffer.subarray(start, end).includes(prunedMark)) {
        log.prunedBelow = Math.max(log.prunedBelow, prunedBelow(text))
      }
    }
  }
  // Behind the last line end of the last segment a line may be in the making.
  if (reader.rest.length > 0 && (reader.overlong || !last || at.index < report.signed)) {
    const fact = reader.overlong ? 'the line is longer than a line can be' : 'the line has no end'
    report.add({ file, line: at.index - first + 1, index: at.index, fact })
  }
}

/** The index behind the lines that an `audit.pruned` tells of; 0 for any other line. */
function prunedBelow(line: string): number {
  const event = parseLine(line)
  if (event === undefined || member(event, 'event_name') !== 'audit.pruned') return 0
  const last = member(event, 'log', 'last')
  return typeof last === 'number' && Number.isSafeInteger(last) ? last + 1 : 0
}
