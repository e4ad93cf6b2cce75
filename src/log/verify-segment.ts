// Verifies the lines of one segment.
import { LineOrder } from './line-order.ts'
import { LineReader, lineStart } from './lines.ts'
import type { LogReport } from './log-report.ts'
import { leafHashIn } from './merkle.ts'
import { isMissing, type Segment } from './segments.ts'
import type { SignedLog } from './signed-log.ts'

/** `end`: where the next segment begins, if there is one. Returns the index behind the last whole line; undefined if the segment is gone. */
export async function verifySegment(
  segment: Segment,
  end: number | undefined,
  log: SignedLog,
): Promise<number | undefined> {
  let reader: LineReader
  try {
    reader = await LineReader.open(segment.path)
  } catch (error) {
    if (isMissing(error)) return undefined
    log.report.addUnreadable(segment.path, error)
    return segment.first
  }
  const order = new LineOrder(segment.path, segment.first, end, log)
  try {
    await verifyLines(reader, order)
    tellRest(reader, segment.path, order, end === undefined, log.report)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const isDamaged = code?.startsWith('Z_') === true
    if (!isDamaged) log.report.addUnreadable(segment.path, error)
    else log.report.add({ file: segment.path, index: order.index, fact: `it is damaged from here on: ${code}` })
  } finally {
    await reader.close()
  }
  return order.index
}

async function verifyLines(reader: LineReader, order: LineOrder): Promise<void> {
  for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
    for (let i = 0; i < block.ends.length; i++) {
      const [start, end] = [lineStart(block, i), block.ends[i]!]
      await order.take(block.buffer.toString('utf8', start, end), leafHashIn(block.buffer, start, end))
    }
  }
  await order.finish()
}

/** Behind the last line end of the last segment a line may be in the making. */
function tellRest(reader: LineReader, file: string, order: LineOrder, last: boolean, report: LogReport): void {
  const { index, lines } = order
  if (reader.rest.length === 0 || (last && !reader.overlong && index >= report.signed)) return
  const fact = reader.overlong ? 'the line is longer than a line can be' : 'the line has no end'
  report.add({ file, line: lines + 1, index, fact })
}
