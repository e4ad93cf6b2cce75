// Shortens an event whose line is too long: what it loses first is what grows, and in the end it has what its schema demands.
import { z } from 'zod'
import { canonical, type Json } from '../canonical.ts'
import { appEvent, type BuiltInEventName, eventTable } from '../events.ts'
import { maxLineBytes } from '../sink.ts'

type Members = Record<string, unknown>

/**
 * The parts of an event that grow with the pool, or with what a client sends or the host gives. Dropped, in this order, from a
 * line that is too long. `*` is each item of a list.
 */
const droppable = [
  'lb.decision.trace',
  'lb.attempts.*.decision.trace',
  'http.response.header',
  'http.request.header',
  'url.query',
  'lb.decision.excluded',
  'lb.attempts.*.decision.excluded',
  'lb.attempts.*.decision',
  'app',
  'log.filters',
  'log.by_type',
  'config.attempted',
  'balancer.config',
  'config.before',
  'config.after',
  'config.changes',
].map((path) => path.split('.'))

/** A part of these says something else than the whole: part of a trace would replay to somebody else. */
const inOnePiece = new Set(['trace', 'decision'])

/** How much of each text, list and record is kept: of what is left then no event has so much that it would often fill a line. */
const clipLength = 256
const clipItems = 64

/** So much of each text that all of an event together cannot fill a line, whatever they hold. */
const leastLength = 64

/** The line of an event, of at most `maxLineBytes` and marked. Throws a RangeError where not even its envelope fits. */
export function shortened(whole: string): string {
  const event = JSON.parse(whole) as { audit: Members; event_name: string } & Members
  event.audit = { ...event.audit, truncated: true }
  for (const path of droppable) {
    const line = drop(event, path) ? fitting(event) : undefined
    if (line !== undefined) return line
  }
  const fields = fieldsOf(event.event_name)
  const rest = (make: (value: Json, schema: z.ZodType) => Json | undefined) => {
    const made: Members = {}
    for (const [name, value] of Object.entries(event))
      made[name] = fields[name] === undefined ? value : make(value as Json, fields[name] as z.ZodType)
    return fitting(made)
  }
  const line = rest(clip) ?? rest(least)
  if (line === undefined) throw new RangeError('the envelope alone is longer than a line can be')
  return line
}

function fitting(event: Members): string | undefined {
  const line = canonical(event as Json)
  return Buffer.byteLength(line) <= maxLineBytes ? line : undefined
}

const fieldsOf = (name: string): z.ZodRawShape =>
  Object.hasOwn(eventTable, name) ? eventTable[name as BuiltInEventName].fields : appEvent.fields

/** What is dropped stays, empty, for the schema may demand it. Returns whether there was anything. */
function drop(at: unknown, [key, ...rest]: readonly string[]): boolean {
  if (typeof at !== 'object' || at === null || key === undefined) return false
  if (key === '*') return Object.values(at).filter((item) => drop(item, rest)).length > 0
  const members = at as Members
  const member = members[key]
  if (member === undefined) return false
  if (rest.length > 0) return drop(member, rest)
  if (inOnePiece.has(key)) delete members[key]
  else members[key] = Array.isArray(member) ? [] : {}
  return true
}

function clip(value: Json): Json {
  if (typeof value === 'string') return cut(value, clipLength)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.slice(0, clipItems).map(clip)
  const members = Object.entries(value).slice(0, clipItems)
  return Object.fromEntries(members.map(([key, member]) => [cut(key, clipLength), clip(member as Json)]))
}

/** What has a bounded size by the schema: no list, no record, nothing of what the host gives. */
function least(value: Json | undefined, schema: z.ZodType): Json | undefined {
  if (value === undefined) return undefined
  if (schema instanceof z.ZodOptional) {
    const inner = schema.unwrap() as z.ZodType
    return isBounded(inner) ? least(value, inner) : undefined
  }
  if (schema instanceof z.ZodArray) return []
  if (!isBounded(schema)) return {}
  if (schema instanceof z.ZodObject) {
    const members = Object.entries(schema.shape as Record<string, z.ZodType>)
    const made = members.map(([name, one]) => [name, least((value as Members)[name] as Json, one)])
    return Object.fromEntries(made.filter(([, member]) => member !== undefined))
  }
  return typeof value === 'string' ? cut(value, leastLength) : value
}

const isBounded = (schema: z.ZodType): boolean =>
  !(schema instanceof z.ZodArray || schema instanceof z.ZodRecord || schema instanceof z.ZodUnknown)

const cut = (text: string, most: number): string =>
  text.length > most ? `${text.slice(0, most).toWellFormed()}[+${text.length - most}]` : text
