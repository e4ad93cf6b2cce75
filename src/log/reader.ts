// Reads the events of one log in the order of their index.
import { type LoggedEvent, parseLine } from './envelope.ts'
import { type EventFilter, timeOf } from './filters.ts'
import { LineReader, lineStart } from './lines.ts'
import { listSegments, orMissing, type Segment } from './segments.ts'

/**
 * The events that match. Lines that are no JSON are passed over: `verifyLog` is what reports them. Segments that retention
 * deletes meanwhile are left out, and so is a line that is still being written.
 */
export async function* readLog(dir: string, filter: EventFilter): AsyncGenerator<LoggedEvent> {
  const segments = await listSegments(dir)
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1]
    if (next !== undefined && (await beginsBefore(next, filter.since))) continue
    yield* readSegment(segment, filter)
  }
}

async function* readSegment(segment: Segment, { matches, needles }: EventFilter): AsyncGenerator<LoggedEvent> {
  const reader = await orMissing(LineReader.open(segment.path), undefined)
  if (reader === undefined) return
  try {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++) {
        const bytes = block.buffer.subarray(lineStart(block, i), block.ends[i]!)
        if (!needles.every((needle) => bytes.includes(needle))) continue
        const event = parseLine(bytes.toString('utf8'))
        if (event !== undefined && matches(event)) yield event
      }
    }
  } finally {
    await reader.close()
  }
}

// Lines are in the order of time but for steps of the clock. An hour covers those that a time server makes.
const slackMs = 3_600_000

/** Whether a segment begins so long before `since` that nothing in the one before it can be as late. */
async function beginsBefore(segment: Segment, since: number): Promise<boolean> {
  if (since === -Infinity) return false
  const reader = await orMissing(LineReader.open(segment.path), undefined)
  if (reader === undefined) return false
  try {
    const block = await reader.next()
    if (block === undefined) return false
    const first = parseLine(block.buffer.toString('utf8', block.start, block.ends[0]))
    return first !== undefined && timeOf(first) + slackMs < since
  } finally {
    await reader.close()
  }
}
