// Lines that tell of losses and of sinks: told from the lines of the facts themselves.
import { type Lost, sizeOf } from './queue.ts'

const names = ['audit.gap', 'audit.sink_changed']

interface Telling {
  readonly event_name: string
  readonly log: Lost & { readonly sink?: string; readonly from?: string }
}

// Parsing is dear, and nearly no line needs it.
function tellingOf(line: string): Telling | undefined {
  if (!names.some((name) => line.includes(`"event_name":"${name}"`))) return undefined
  const event = JSON.parse(line) as Telling
  // The host's own fields may hold such a member too.
  // Nor is a sink that the host added a consequence of any delivery.
  return names.includes(event.event_name) && event.log.from !== 'absent' ? event : undefined
}

/** Whether these lines do nothing but tell: then the loss of them is not told by further ones, which may be lost as they are. */
export const onlyTell = (lines: readonly string[]): boolean => lines.every((line) => tellingOf(line) !== undefined)

/** How many lost lines of this sink they tell of: while it has not got them, it does not know. */
export function toldIn(lines: readonly string[], sink: string): number {
  let sum = 0
  for (const line of lines) {
    const telling = tellingOf(line)
    if (telling?.event_name === 'audit.gap' && telling.log.sink === sink && telling.log.origin !== undefined)
      sum += sizeOf(telling.log)
  }
  return sum
}
