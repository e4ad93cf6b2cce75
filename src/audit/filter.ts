// The filter of a sink: which lines it gets.
import { type BuiltInEventName, type EventName, eventTable } from '../events.ts'
import { type LineEvent, type LogName, logNames, type Sink } from '../sink.ts'
import { logOf } from './envelope.ts'

/** Says of a line of a log whether the sink gets it. A filter that throws, or returns a promise, keeps nothing from it, and `onFault` hears of that once. */
export type LineFilter = (log: LogName, line: string) => boolean

/** The logs that can hold lines for a sink: those of all others are none of its business, and not read for it. */
export function wantedLogs(filter: Sink['filter']): ReadonlySet<LogName> {
  if (filter === undefined || typeof filter === 'function') return new Set(logNames)
  const { logs = logNames, events } = filter
  return new Set(logs.filter((log) => events === undefined || events.some((one) => canBeIn(one, log))))
}

function canBeIn(wanted: string, log: LogName): boolean {
  const prefix = wanted.endsWith('*') ? wanted.slice(0, -1) : undefined
  // For the host's own names there is no table.
  const names = [...Object.keys(eventTable), `app.${prefix?.startsWith('app.') ? prefix.slice(4) : ''}`]
  const named = prefix === undefined ? [wanted] : names.filter((name) => name.startsWith(prefix))
  // What a log tells of itself stands in that log.
  return named.some((name) => name.startsWith('audit.') || logOf(name as EventName) === log)
}

const isNamed = (name: string, events: readonly string[] | undefined): boolean =>
  events === undefined || events.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name))

/** Whether it is known, without asking, that a filter keeps lines of this event from the sink, as they are where all goes well. */
export function keepsBack(filter: Sink['filter'], name: BuiltInEventName): boolean {
  if (filter === undefined || typeof filter === 'function') return false
  const { logs = logNames, events, severity = 0 } = filter
  return !logs.includes(logOf(name)) || !isNamed(name, events) || eventTable[name].severity < severity
}

/** Undefined for a sink that gets all. */
export function lineFilter(filter: Sink['filter'], onFault: (error: unknown) => void): LineFilter | undefined {
  if (filter === undefined) return undefined
  let told = false
  const guarded = (ask: (event: LineEvent) => boolean) => (line: string) => {
    try {
      return ask(JSON.parse(line) as LineEvent)
    } catch (error) {
      if (!told) onFault(error)
      told = true
      return true
    }
  }
  if (typeof filter === 'function') {
    const ask = guarded((event) => {
      const answer: unknown = filter(event)
      if (!(answer instanceof Promise)) return answer !== false
      answer.catch(() => undefined)
      throw new Error('it returned a promise')
    })
    return (_, line) => ask(line)
  }
  const { logs, events, severity } = filter
  const ask = guarded((event) => isNamed(String(event.event_name), events) && Number(event.severity) >= (severity ?? 0))
  const parses = events !== undefined || severity !== undefined
  return (log, line) => (logs === undefined || logs.includes(log)) && (!parses || ask(line))
}
