// The filter of a sink: which lines it gets.
import type { LineEvent, LogName, Sink } from '../sink.ts'

/** Says of a line of a log whether the sink gets it. A filter that throws keeps nothing from it, and `onFault` hears of that once. */
export type LineFilter = (log: LogName, line: string) => boolean

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
    const ask = guarded((event) => filter(event) !== false)
    return (_, line) => ask(line)
  }
  const { logs, events, severity } = filter
  const named = (name: string): boolean =>
    events === undefined || events.some((one) => (one.endsWith('*') ? name.startsWith(one.slice(0, -1)) : one === name))
  const ask = guarded((event) => named(String(event.event_name)) && Number(event.severity) >= (severity ?? 0))
  const parses = events !== undefined || severity !== undefined
  return (log, line) => (logs === undefined || logs.includes(log)) && (!parses || ask(line))
}
