// The host's own entries in the log: its denials, who reads the log, and its `app.*` events.
import { z } from 'zod'
import { BalancerError } from '../errors.ts'
import { actorSchema } from '../event-parts.ts'
import { type Emit, type EventFields, eventTable } from '../events.ts'
import { parseOptions } from '../parse.ts'
import { bounded } from './bounded.ts'
import { safeText } from './text.ts'

// A denial is often of what nobody expected, an empty name or a long one: it is recorded all the same, cut where it must be.
const shortText = z.string().overwrite((given) => clipped(given).toWellFormed())

const who = actorSchema.extend({ id: shortText, auth: shortText.optional() })
const about = {
  request_id: z.string().optional(),
  client: z.looseObject({ address: z.string() }).optional(),
}

const denialSchema = z.looseObject({
  ...about,
  rule: z.string().min(1),
  phase: z.enum(['connection', 'request', 'admin']).default('request'),
  detail: z.string().optional(),
  actor: who.optional(),
})

const readingSchema = z.looseObject({
  ...about,
  actor: who,
  verb: z.string().min(1),
  filters: z.unknown().optional(),
  count: z.int().nonnegative().optional(),
})

/** Longest name of a rule, an actor, a request or a client, in characters. */
const mostName = 256

function clipped(name: string): string {
  return name.length > mostName ? `${name.slice(0, mostName)}[+${name.length - mostName}]` : name
}

/** What the host tells of a denial: `rule` at least; members that it adds are kept under `app`. */
export type Denial = z.input<typeof denialSchema>

/**
 * What the host tells of a reading of the log: `actor`, and what was done as `verb`, at least; members that it adds are kept
 * under `app`.
 */
export type Reading = z.input<typeof readingSchema>

function denialFields(given: unknown): EventFields<'access.denied'> {
  const { rule, phase, detail, request_id, actor, client, ...rest } = parseOptions(
    denialSchema,
    given,
    "record('access.denied')",
  )
  return {
    outcome: 'failure',
    access: { rule: safeText(rule, mostName), phase, ...(detail === undefined ? {} : { detail: safeText(detail) }) },
    ...(actor === undefined ? {} : { actor }),
    ...aboutFields({ request_id, client }, rest),
  }
}

function readingFields(given: unknown): EventFields<'audit.read'> {
  const { actor, verb, filters, count, request_id, client, ...rest } = parseOptions(
    readingSchema,
    given,
    "record('audit.read')",
  )
  return {
    actor,
    log: {
      verb: safeText(verb, mostName),
      ...(filters === undefined ? {} : { filters: bounded(filters) }),
      ...(count === undefined ? {} : { count }),
    },
    ...aboutFields({ request_id, client }, rest),
  }
}

/** What a witness hands over: the fields of the event. */
export interface Finding {
  readonly witness: object
  readonly network?: object
}

/** It tells of names and addresses that others have sent. */
function findingFields<N extends 'witness.origin_changed' | 'witness.refused'>(
  name: N,
  given: unknown,
): EventFields<N> {
  const fields = parseOptions(z.strictObject(eventTable[name].fields), bounded(given), `record('${name}')`)
  return { ...(name === 'witness.refused' ? { outcome: 'failure' } : {}), ...fields } as EventFields<N>
}

type About = z.output<z.ZodObject<typeof about>>

const aboutFields = ({ request_id, client }: About, rest: object) => ({
  ...(request_id === undefined ? {} : { lb: { request_id: safeText(request_id, mostName) } }),
  ...(client === undefined
    ? {}
    : { client: { address: safeText(client.address, mostName), source: 'given' as const } }),
  ...(Object.keys(rest).length === 0 ? {} : { app: bounded(rest) }),
})

/** Hands an entry of the host's own to the trail. What is too long is cut. Throws `config-invalid` or
 * `event-unknown` for one that cannot be meant: no rule, nobody who reads, another name. */
export function recordInto(emit: Emit, name: string, fields: unknown): void {
  if (name === 'access.denied') emit(name, denialFields(fields))
  else if (name === 'audit.read') emit(name, readingFields(fields))
  else if (name === 'witness.origin_changed' || name === 'witness.refused') emit(name, findingFields(name, fields))
  else emit(name as `app.${string}`, appFields(name, fields))
}

const appName = /^app\.[a-z0-9_.]{1,120}$/

function appFields(name: string, given: unknown): EventFields<`app.${string}`> {
  if (!appName.test(name))
    throw new BalancerError('event-unknown', `${JSON.stringify(name)}; the host's own begin with app.`)
  return { app: bounded(given) }
}
