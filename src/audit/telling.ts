// Lines that tell of losses and of sinks: told from the lines of the facts themselves.
import { logNames } from '../sink.ts'
import type { Lane } from './lane.ts'

const names = ['audit.gap', 'audit.sink_changed']

interface Telling {
  readonly event_name: string
  readonly log: Partial<Told> & { readonly sink?: string; readonly from?: string }
}

/** Lines of a log that a sink did not get: so many of those from `first` to `last`. */
interface Told {
  readonly origin: string
  readonly first: number
  readonly last: number
  readonly count: number
}

// Parsing is dear, and nearly no line needs it.
function tellingOf(line: string): Telling | undefined {
  if (!names.some((name) => line.includes(`"event_name":"${name}"`))) return undefined
  const event = parsed(line)
  // The host's own fields may hold such a member too.
  // Nor is a sink that the host added a consequence of any delivery.
  return event?.log != null && names.includes(event.event_name) && event.log.from !== 'absent' ? event : undefined
}

/** Undefined for what is no line of ours any more: somebody has changed the file. */
function parsed(line: string): Telling | undefined {
  try {
    return JSON.parse(line) as Telling
  } catch {
    return undefined
  }
}

/** Whether this line does nothing but tell: a further one that told of its loss at once could be lost as it is. */
export const onlyTells = (line: string): boolean => tellingOf(line) !== undefined

/** The lost lines of this sink that a line tells of: while it has not got it, it does not know. */
export function toldBy(line: string, sink: string): Told | undefined {
  const telling = tellingOf(line)
  if (telling?.event_name !== 'audit.gap' || telling.log.sink !== sink) return undefined
  const { origin, first, last, count } = telling.log
  if (origin === undefined || first === undefined || last === undefined || count === undefined) return undefined
  return { origin, first, last, count }
}

/** How many lines are read for that. */
const mostRead = 10_000

/** How many lost lines of this sink are told by lines that wait for it, as far as they can be read. Never rejects. */
export async function toldInWaiting(lanes: readonly Lane[], sink: string): Promise<number> {
  let sum = 0
  for (const { feed, cursor } of lanes) {
    for (const log of logNames) {
      const key = {}
      const start = cursor.next(log)
      for (let from = start; from < Math.min(feed.bounds(log).end, start + mostRead); ) {
        const stretch = await feed.read(log, from, { lines: 500, bytes: 1 << 20 }, key).catch(() => undefined)
        if (stretch === undefined) break
        const lines = 'through' in stretch ? [] : stretch.lines
        for (const line of lines) sum += toldBy(line, sink)?.count ?? 0
        from = 'through' in stretch ? stretch.through : from + lines.length
      }
    }
  }
  return sum
}
