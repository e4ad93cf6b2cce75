// Every audit event: its name, its log, and the zod schema that its type, its checks, its JSON Schema and its documentation
// derive from.
import type { IncomingMessage } from 'node:http'
import { z } from 'zod'
import { controlEvents } from './control-events.ts'
import { type Definition, define, int, json, type Level, obj, plainLb, text } from './event-parts.ts'
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

export { type Level, severity } from './event-parts.ts'

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

/** The ticket of what is not to be recorded, by the host's own choice: nobody has to wait for it. */
export const unrecorded: Ticket = Object.freeze({ log: 'traffic', index: undefined })

/** The events of which a policy may leave some out. */
export type TrafficName =
  | 'request.received'
  | 'request.completed'
  | 'request.mirrored'
  | 'tunnel.opened'
  | 'route.picked'
  | 'route.released'

/** What a policy looks at. */
export interface TrafficFacts {
  /** Of the request or the lease: by it, all its events are in a sample or none. */
  readonly id: string
  readonly method: string
  /** Without the query. */
  readonly path: string
  /** Address of the client; empty where it is not known. */
  readonly client: string
  /** Undefined while it is open. */
  readonly status: number | undefined
  readonly result: string | undefined
  /** What failed is in every sample. */
  readonly failed: boolean
}

/** How much of it is recorded; `none` where nothing is: then it was counted. To be asked once for each event. */
export type LevelOf = (name: TrafficName, facts: TrafficFacts) => Level

/** A request as the host's `enrich` gets it. */
export interface RequestFacts {
  /** Node's own. */
  readonly request: IncomingMessage
  /** The one of the host's framework: Fastify's; of Express and Node it is `request` itself. */
  readonly appRequest: Readonly<Record<string, unknown>>
  /** `lb.request_id` */
  readonly requestId: string
  readonly method: string
  /** What backends are asked for, without the query. */
  readonly path: string
  /** Address of the client. */
  readonly client: string
  /** What the client got; undefined where it got nothing. */
  readonly status: number | undefined
  readonly result: string
}
