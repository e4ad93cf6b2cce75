// Reads the events of one log in the order of their index.
import { type LoggedEvent, parseLine } from './envelope.ts'
import type { EventFilter } from './filters.ts'
import { LineReader, lineStart } from './lines.ts'
import { listSegments, orMissing, type Segment } from './segments.ts'

/**
 * The events that match. Lines that are no JSON are passed over: `verifyLog` is what reports them. Segments that retention
 * deletes meanwhile are left out, and so is a line that is still being written. Every line is read, whatever time is asked for: where the
 * clock was set back, no segment tells how late the one before it is.
 */
export async function* readLog(dir: string, filter: EventFilter): AsyncGenerator<LoggedEvent> {
  for (const segment of await listSegments(dir)) yield* readSegment(segment, filter)
}

async function* readSegment(segment: Segment, { matches, mayMatch }: EventFilter): AsyncGenerator<LoggedEvent> {
  const reader = await orMissing(LineReader.open(segment.path), undefined)
  if (reader === undefined) return
  try {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++) {
        const bytes = block.buffer.subarray(lineStart(block, i), block.ends[i]!)
        if (!mayMatch(bytes)) continue
        const event = parseLine(bytes.toString('utf8'))
        if (event !== undefined && matches(event)) yield event
      }
    }
  } finally {
    await reader.close()
  }
}
