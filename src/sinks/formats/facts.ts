// What every mapping asks an event: its place, its time, its severity.
import { isIP } from 'node:net'
import { canonical, type Json } from '../../canonical.ts'
import { member } from '../../log/envelope.ts'
import type { LineEvent } from '../../sink.ts'

/** Places are few, and asked for with each event. */
const keysOf = new Map<string, readonly string[]>()

/** The value at a place such as `http.request.method`; undefined where there is none. */
export function valueAt(event: LineEvent, place: string): unknown {
  const known = keysOf.get(place)
  if (known !== undefined) return member(event, ...known)
  const keys = place.split('.')
  keysOf.set(place, keys)
  return member(event, ...keys)
}

/** The text at a place such as `http.request.method`; undefined where there is none. */
export function textAt(event: LineEvent, place: string): string | undefined {
  const value = valueAt(event, place)
  return typeof value === 'string' ? value : undefined
}

/** The integer at a place; undefined where there is none. */
export function intAt(event: LineEvent, place: string): number | undefined {
  const value = valueAt(event, place)
  return Number.isSafeInteger(value) ? (value as number) : undefined
}

/** What stands for a word in a table. Words come from others: `constructor` is in none. */
export const entryOf = <T>(table: Readonly<Record<string, T>>, word: unknown): T | undefined =>
  typeof word === 'string' && Object.hasOwn(table, word) ? table[word] : undefined

/** Wall time in ms since the epoch; 0 for an event without one. */
export const timeOf = (event: LineEvent): number => Date.parse(textAt(event, 'time') ?? '') || 0

export const severityOf = (event: LineEvent): number => intAt(event, 'severity') ?? 9

/** The log that an origin names: `traffic`, `security` or `control`. */
export const logOf = (origin: string): string => origin.split('/')[2] ?? ''

/** What tells a line from all others, for good: its origin and index. Undefined for an event that is no line. */
export function uidOf(event: LineEvent): string | undefined {
  const [origin, index] = [textAt(event, 'audit.origin'), intAt(event, 'audit.index')]
  return origin === undefined || index === undefined ? undefined : `${origin}/${index}`
}

/** Where it stands who has changed a legal hold: of one that is in force nobody has just then. */
const holdActors: Readonly<Record<string, string>> = { placed: 'log.by', lifted: 'log.lifted_by' }

/** The place of whoever has placed or lifted a legal hold; undefined for other events. */
export const holdActorOf = (event: LineEvent): string | undefined =>
  textAt(event, 'event_name') === 'audit.hold_changed' ? entryOf(holdActors, textAt(event, 'log.change')) : undefined

/** The event as its line has it, for one that was not read from a line. */
export const lineOf = (event: LineEvent): string => canonical(event as Json)

/** The address as IP address, where it is one: it can also be a name, a path, a part of an address or a pseudonym. */
export const ipOf = (address: string | undefined): string | undefined =>
  address !== undefined && isIP(address) !== 0 ? address : undefined

/** The members that have a value. */
export function present<T extends object>(members: T): T {
  const kept = {} as T
  for (const key in members) if (members[key] !== undefined) kept[key] = members[key]
  return kept
}

/** The first value of a header that was kept. */
export function headerOf(event: LineEvent, name: string): string | undefined {
  const values = member(event, 'http', 'request', 'header', name)
  return Array.isArray(values) && typeof values[0] === 'string' ? values[0] : undefined
}

/** How OpenTelemetry marks a value that was not kept. */
export const redacted = 'REDACTED'

/** The query as text, with what was not kept marked so. Undefined where there was none. */
export function queryOf(event: LineEvent): string | undefined {
  const query = member(event, 'url', 'query')
  if (typeof query !== 'object' || query === null || Array.isArray(query)) return undefined
  return Object.entries(query)
    .flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [redacted]).map(
        (value) => `${encodeURIComponent(name)}=${value === redacted ? redacted : encodeURIComponent(String(value))}`,
      ),
    )
    .join('&')
}

/** The names of OpenTelemetry's ranges of severity. */
export function severityText(severity: number): string {
  const names = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL']
  return names[Math.min(5, Math.max(0, Math.floor((severity - 1) / 4)))]!
}
