// Lines that tell of losses and of sinks: told from the lines of the facts themselves.
import { logNames } from '../sink.ts'
import type { Lane } from './lane.ts'

const names = ['audit.gap', 'audit.sink_changed']

interface Telling {
  readonly event_name: string
  readonly log: { readonly count?: number; readonly origin?: string; readonly sink?: string; readonly from?: string }
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

/** Whether this line does nothing but tell: then the loss of it is not told by a further one, which may be lost as it is. */
export const onlyTells = (line: string): boolean => tellingOf(line) !== undefined

/** How many lost lines of this sink a line tells of: while it has not got it, it does not know. */
export function toldIn(line: string, sink: string): number {
  const telling = tellingOf(line)
  const tells = telling?.event_name === 'audit.gap' && telling.log.sink === sink && telling.log.origin !== undefined
  return tells ? (telling.log.count ?? 0) : 0
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
        for (const line of lines) sum += toldIn(line, sink)
        from = 'through' in stretch ? stretch.through : from + lines.length
      }
    }
  }
  return sum
}
