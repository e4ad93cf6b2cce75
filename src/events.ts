// Every audit event: its name, its log, and the zod schema that its type, its checks, its JSON Schema and its documentation
// derive from.
import { z } from 'zod'
import { controlEvents } from './control-events.ts'
import { type Definition, define, int, json, obj, plainLb, text } from './event-parts.ts'
import { logEvents } from './log-events.ts'
import type { LogName } from './sink.ts'
import { trafficEvents } from './traffic-events.ts'
import { witnessEvents } from './witness-events.ts'

export const eventTable = {
  ...trafficEvents,
  ...controlEvents,
  ...logEvents,
  ...witnessEvents,
} satisfies Record<string, Definition>

export type BuiltInEventName = keyof typeof eventTable
/** The host's own events. */
type AppEventName = `app.${string}`
export type EventName = BuiltInEventName | AppEventName

export const appEvent = define('traffic', 'info', 'An event of the host.', { app: json, lb: plainLb })

const envelope = <N extends z.ZodType<string>>(name: N) => ({
  audit: obj({
    boot_id: text,
    mono_us: int,
    origin: text.optional(),
    index: int.optional(),
    truncated: z.boolean().optional(),
  }),
  event_name: name,
  schema_version: z.literal(1),
  time: text,
  severity: int,
  outcome: z.enum(['success', 'failure', 'unknown']),
  service: obj({ name: text, instance: obj({ id: text }) }),
  cloud: obj({ region: text.optional(), availability_zone: text.optional() }).optional(),
  trace_id: text.optional(),
  span_id: text.optional(),
})

export { severity } from './event-parts.ts'

/** The schema of one event as it stands in a line. For readers and tests: the path of a request never runs it. */
export function eventSchema(name: EventName): z.ZodType {
  if (name.startsWith('app.')) return obj({ ...envelope(z.string().regex(/^app\./)), ...appEvent.fields })
  return obj({ ...envelope(z.literal(name)), ...eventTable[name as BuiltInEventName].fields })
}

type Envelope = z.infer<z.ZodObject<ReturnType<typeof envelope>, z.core.$strict>>
type FieldsOf<N extends EventName> = N extends BuiltInEventName
  ? z.infer<z.ZodObject<(typeof eventTable)[N]['fields'], z.core.$strict>>
  : z.infer<z.ZodObject<(typeof appEvent)['fields'], z.core.$strict>>

/** One event as listeners get it and as it stands in its line. */
export type AuditEvent<N extends EventName = EventName> = N extends EventName
  ? Omit<Envelope, 'event_name'> & { event_name: N } & FieldsOf<N>
  : never

/** What the code that observes a fact hands to the trail; the trail adds the envelope. */
export type EventFields<N extends EventName> = FieldsOf<N> &
  Partial<Pick<Envelope, 'outcome' | 'severity' | 'trace_id' | 'span_id'>>

/** Hands a fact to the audit trail. Never throws, never waits. */
export type Emit = <N extends EventName>(name: N, fields: EventFields<N>) => Ticket

/** Where the line of an event stands; undefined when it was not sealed (yet). */
export interface Ticket {
  readonly log: LogName
  index: number | undefined
}
