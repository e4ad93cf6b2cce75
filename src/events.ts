// Every audit event: its name, its log, and the zod schema that its type, its checks and its documentation derive from.
import { z } from 'zod'
import { discoveryCauses, topologyChanges } from './discovery.ts'
import {
  access,
  actor,
  backend,
  backendSummary,
  client,
  completion,
  connection,
  decision,
  declared,
  int,
  json,
  network,
  obj,
  probed,
  requestHead,
  source,
  text,
  tls,
  url,
} from './event-parts.ts'
import { attemptResults } from './outcome.ts'
import type { LogName } from './sink.ts'

const scope = { pool: text.optional(), config_revision: int.optional(), config_hash: text.optional() }
const withLb = <S extends z.ZodRawShape>(shape: S) => obj({ ...scope, ...shape })
const plainLb = withLb({}).optional()
const change = obj({ path: text, from: json.optional(), to: json.optional() })
const changeFields = {
  source: z.enum(['api', 'start', 'deadline']),
  message: text.optional(),
  ticket: text.optional(),
  break_glass: z.boolean().optional(),
}
const logFacts = z.record(text, z.union([text, int]))

/** Severity numbers of the OpenTelemetry log data model. */
export const severity = { info: 9, warn: 13, error: 17 } as const

interface Definition {
  readonly log: LogName
  readonly severity: number
  /** The fields besides the envelope. */
  readonly fields: z.ZodRawShape
}

const define = <F extends z.ZodRawShape>(log: LogName, level: keyof typeof severity, fields: F) => ({
  log,
  severity: severity[level],
  fields,
})

export const eventTable = {
  'request.received': define('traffic', 'info', {
    lb: withLb({ request_id: text }),
    client,
    network,
    http: obj({ request: obj(requestHead), route: text.optional() }),
    tls: tls.optional(),
    url,
  }),
  'request.completed': define('traffic', 'info', {
    lb: withLb(completion),
    client,
    network,
    http: obj({
      request: obj({ ...requestHead, body: obj({ size: int }) }),
      response: obj({ status_code: int.optional(), body: obj({ size: int }) }),
      route: text.optional(),
    }),
    tls: tls.optional(),
    url,
  }),
  'tunnel.opened': define('traffic', 'info', {
    lb: withLb({ request_id: text, backend: text, protocol: text, duration_us: int }),
    client,
  }),
  'request.mirrored': define('traffic', 'info', {
    lb: withLb({
      request_id: text,
      backend: text.optional(),
      result: z.enum([...attemptResults, 'closing']).optional(),
      status_code: int.optional(),
      duration_us: int.optional(),
      skipped: z.enum(['busy', 'body-too-large', 'body-incomplete', 'no-backend']).optional(),
    }),
  }),
  'route.picked': define('traffic', 'info', {
    lb: withLb({ lease_id: text, decision }),
    client: client.optional(),
  }),
  'route.released': define('traffic', 'info', {
    lb: withLb({
      lease_id: text,
      backend: text,
      result: z.enum(attemptResults),
      status_code: int.optional(),
      duration_us: int,
    }),
  }),
  'access.denied': define('security', 'warn', {
    access,
    lb: withLb({ request_id: text.optional() }).optional(),
    actor: actor.optional(),
    client: client.optional(),
    network: connection.optional(),
    app: json.optional(),
  }),
  'backend.probed': define('traffic', 'info', { backend: probed, lb: plainLb }),
  'health.summary': define('traffic', 'info', {
    lb: withLb({ period_us: int, backends: z.array(backendSummary) }),
  }),
  'backend.health_changed': define('control', 'warn', { backend, lb: plainLb }),
  'pool.panic_changed': define('control', 'error', { lb: withLb({ panic: z.boolean(), eligible: int, total: int }) }),
  'topology.changed': define('control', 'info', {
    backend: obj({ id: text, address: text, port: int }),
    discovery: obj({
      ...source,
      change: z.enum(topologyChanges),
      before: declared.optional(),
      after: declared.optional(),
      pool_size: int,
    }),
    lb: plainLb,
  }),
  'discovery.failed': define('control', 'warn', {
    discovery: obj({
      ...source,
      cause: z.enum(discoveryCauses),
      detail: text.optional(),
      problems: z.array(obj({ path: text, message: text })).optional(),
      kept: int,
      age_us: int.optional(),
    }),
    lb: plainLb,
  }),
  'discovery.recovered': define('control', 'info', {
    discovery: obj({ ...source, failures: int, downtime_us: int, found: int }),
    lb: plainLb,
  }),
  'config.changed': define('control', 'info', {
    actor,
    lb: plainLb,
    config: obj({ ...changeFields, revision: int, hash: text, before: json, after: json, changes: z.array(change) }),
  }),
  'config.rejected': define('control', 'warn', {
    actor,
    lb: plainLb,
    config: obj({ ...changeFields, code: text, detail: text, attempted: json }),
  }),
  'balancer.started': define('control', 'info', {
    lb: plainLb,
    balancer: obj({ version: text, revision: int, hash: text, config: json }),
  }),
  'balancer.ready': define('control', 'info', { lb: plainLb }),
  'balancer.draining': define('control', 'info', { lb: plainLb, balancer: obj({ in_flight: int }) }),
  'balancer.stopped': define('control', 'info', { lb: plainLb, balancer: obj({ in_flight: int }) }),
  'audit.opened': define('control', 'info', {
    log: obj({ version: text, origins: z.record(text, obj({ origin: text, next: int })) }),
  }),
  'audit.gap': define('control', 'error', {
    log: obj({
      /** The sink that did not get the lines; absent when they were lost before they were lines at all. */
      sink: text.optional(),
      origin: text.optional(),
      first: int.optional(),
      last: int.optional(),
      count: int,
      by_type: z.record(text, int).optional(),
      reason: z.enum(['backlog', 'store-unavailable', 'rejected', 'invalid', 'retention', 'lost']),
      first_time: text.optional(),
      last_time: text.optional(),
    }),
  }),
  'audit.recovered': define('control', 'warn', { log: logFacts }),
  'audit.rotated': define('control', 'info', { log: logFacts }),
  'audit.pruned': define('control', 'info', { log: logFacts }),
  'audit.sink_changed': define('control', 'warn', {
    log: obj({ sink: text, from: text, to: text, failures: int, waiting: int, last_error: text.optional() }),
  }),
  'audit.closed': define('control', 'info', { log: obj({ emitted: int, gaps: int }) }),
} satisfies Record<string, Definition>

export type BuiltInEventName = keyof typeof eventTable
/** The host's own events. */
type AppEventName = `app.${string}`
export type EventName = BuiltInEventName | AppEventName

const appFields = { app: json, lb: plainLb }

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

/** The schema of one event as it stands in a line. For readers and tests: the path of a request never runs it. */
export function eventSchema(name: EventName): z.ZodType {
  if (name.startsWith('app.')) return obj({ ...envelope(z.string()), ...appFields })
  return obj({ ...envelope(z.literal(name)), ...eventTable[name as BuiltInEventName].fields })
}

type Envelope = z.infer<z.ZodObject<ReturnType<typeof envelope>, z.core.$strict>>
type FieldsOf<N extends EventName> = N extends BuiltInEventName
  ? z.infer<z.ZodObject<(typeof eventTable)[N]['fields'], z.core.$strict>>
  : z.infer<z.ZodObject<typeof appFields, z.core.$strict>>

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
