// The host's own entries in the log: its denials, and its `app.*` events.
import { z } from 'zod'
import type { Json } from '../canonical.ts'
import { BalancerError } from '../errors.ts'
import { actorSchema } from '../event-parts.ts'
import type { Emit, EventFields } from '../events.ts'
import { parseOptions } from '../parse.ts'
import { safeText } from './text.ts'

// A denial is often of what nobody expected, an empty name or a long one: it is recorded all the same, cut where it must be.
const shortText = z.string().overwrite((given) => clipped(given.toWellFormed()))

const denialSchema = z.looseObject({
  rule: z.string().min(1),
  phase: z.enum(['connection', 'request', 'admin']).default('request'),
  detail: z.string().optional(),
  request_id: z.string().optional(),
  actor: actorSchema.extend({ id: shortText, auth: shortText.optional() }).optional(),
  client: z.looseObject({ address: z.string() }).optional(),
})

/** Longest name of a rule, an actor, a request or a client, in characters. */
const mostName = 256

function clipped(name: string): string {
  return name.length > mostName ? `${name.slice(0, mostName)}[+${name.length - mostName}]` : name
}

/** What the host tells of a denial: `rule` at least; members that it adds are kept under `app`. */
export type Denial = z.input<typeof denialSchema>

function denialFields(given: unknown): EventFields<'access.denied'> {
  const { rule, phase, detail, request_id, actor, client, ...rest } = parseOptions(
    denialSchema,
    given,
    "record('access.denied')",
  )
  return {
    outcome: 'failure',
    access: { rule: safeText(rule, mostName), phase, ...(detail === undefined ? {} : { detail: safeText(detail) }) },
    ...(request_id === undefined ? {} : { lb: { request_id: safeText(request_id, mostName) } }),
    ...(actor === undefined ? {} : { actor }),
    ...(client === undefined
      ? {}
      : { client: { address: safeText(client.address, mostName), source: 'given' as const } }),
    ...(Object.keys(rest).length === 0 ? {} : { app: bounded(rest, 0) }),
  }
}

/** Hands an entry of the host's own to the trail. What is too long is cut. Throws `config-invalid` or
 * `event-unknown` for one that cannot be meant: no rule, another name. */
export function recordInto(emit: Emit, name: string, fields: unknown): void {
  if (name === 'access.denied') emit(name, denialFields(fields))
  else emit(name as `app.${string}`, appFields(name, fields))
}

const appName = /^app\.[a-z0-9_.]{1,120}$/

function appFields(name: string, given: unknown): EventFields<`app.${string}`> {
  if (!appName.test(name))
    throw new BalancerError('event-unknown', `${JSON.stringify(name)}; the host's own begin with app.`)
  return { app: bounded(given, 0) }
}

const mostMembers = 64
const mostDepth = 8

/**
 * Any value as a line can hold it: bounded in depth, breadth and length, text escaped, other numbers than integers as text.
 * What is left out is marked with its count.
 */
function bounded(value: unknown, depth: number): Json {
  try {
    return boundedValue(value, depth)
  } catch {
    // A getter or a `toString` of the host's that throws.
    return '[unreadable]'
  }
}

function boundedValue(value: unknown, depth: number): Json {
  switch (typeof value) {
    case 'string':
      return safeText(value)
    case 'boolean':
      return value
    case 'number':
      return Number.isSafeInteger(value) ? value : String(value)
    case 'object':
      if (value === null) return null
      if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : value.toISOString()
      if (depth === mostDepth) return '[too deep]'
      return Array.isArray(value) ? boundedList(value, depth + 1) : boundedMembers(value, depth + 1)
    default:
      return safeText(String(value))
  }
}

function boundedList(list: readonly unknown[], depth: number): Json {
  // A hole is an item as well: `map` would leave it a hole, which no JSON has.
  const kept = Array.from(list.slice(0, mostMembers), (item) => bounded(item, depth))
  return list.length > mostMembers ? [...kept, `[+${list.length - mostMembers}]`] : kept
}

function boundedMembers(value: object, depth: number): Json {
  const members = Object.entries(value)
  const kept = members.slice(0, mostMembers).map(([key, member]) => [safeText(key, 128), bounded(member, depth)])
  const more = members.length - mostMembers
  return Object.fromEntries(more > 0 ? [...kept, ['[+]', more]] : kept)
}
