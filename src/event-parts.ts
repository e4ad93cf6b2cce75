// The parts that events share: their zod schemas, each once.
import { z } from 'zod'
import { exclusionReasons, pickReasons, stickyVerdicts } from './decision.ts'
import { sourceTypes } from './discovery.ts'
import { attemptResults, requestResults, retryDenials } from './outcome.ts'
import { clientSources } from './request.ts'
import type { LogName } from './sink.ts'

/** Severity numbers of the OpenTelemetry log data model. */
export const severity = { info: 9, warn: 13, error: 17 } as const

export interface Definition {
  readonly log: LogName
  readonly severity: number
  /** What it tells, in a sentence or two: the description of its JSON Schema, and the beginning of its documentation. */
  readonly about: string
  /** The fields besides the envelope. */
  readonly fields: z.ZodRawShape
}

export const define = <F extends z.ZodRawShape>(
  log: LogName,
  level: keyof typeof severity,
  about: string,
  fields: F,
) => ({ log, severity: severity[level], about, fields })

/** A count, a size or a duration. Lines hold integers only. */
export const int = z.int().nonnegative()
export const text = z.string()
export const obj = z.strictObject

/** A value that is not kept: how long it was, and under a key its HMAC. */
const withheld = obj({ hmac: text.optional(), length: int })
const values = z.record(text, z.union([z.array(text), withheld]))
export const json: z.ZodType<unknown> = z.unknown()

const scope = { pool: text.optional(), config_revision: int.optional(), config_hash: text.optional() }
export const withLb = <S extends z.ZodRawShape>(shape: S) => obj({ ...scope, ...shape })
export const plainLb = withLb({}).optional()

// RFC 8785 has no form for a lone surrogate.
const wellFormed = (given: string): string => given.toWellFormed()

export const actorSchema = obj({
  id: z.string().min(1).max(256).overwrite(wellFormed),
  type: z.enum(['user', 'service', 'system']),
  /** How the actor was authenticated, in the words of the host: `mtls`, `oidc`. */
  auth: z.string().max(256).overwrite(wellFormed).optional(),
})
/** Who makes a change. */
export type Actor = z.infer<typeof actorSchema>

/** An actor as a line has it: escaped, and therefore perhaps longer. */
export const actor = obj({ id: text, type: actorSchema.shape.type, auth: text.optional() })

const exclusion = obj({ backend: text, reason: z.enum(exclusionReasons) })
const trace = obj({
  draws: z.array(int),
  hash: int.optional(),
  compared: z.array(obj({ backend: text, score: z.int() })),
  options: json.optional(),
  pool: z
    .array(
      obj({
        backend: text,
        handicap: int.optional(),
        load: int,
        memory: z.int().optional(),
        open: z.boolean(),
        weight: int,
      }),
    )
    .optional(),
})
export const decision = obj({
  strategy: text,
  reason: z.enum(pickReasons),
  backend: text.optional(),
  candidates: int,
  excluded: z.array(exclusion),
  /** Set with `excluded_count` when the list was too long to keep whole. */
  excluded_count: int.optional(),
  snapshot: int,
  group: text.optional(),
  hedge: z.boolean().optional(),
  panic: z.boolean().optional(),
  priority: int.optional(),
  ramp: int.optional(),
  retry: int.optional(),
  sticky: z.enum(stickyVerdicts).optional(),
  trace: trace.optional(),
  zone: z.enum(['local', 'spilled']).optional(),
})
const attempt = obj({
  backend: text,
  /** The pick that led to it, at level `full`. */
  decision: decision.optional(),
  /** Of a backend at a unix socket its path; then there is no port. */
  address: text,
  port: int.optional(),
  /** The address of the connection, where the backend is given by a name. */
  peer_address: text.optional(),
  reason: z.enum(pickReasons),
  result: z.enum(attemptResults),
  detail: text.optional(),
  status_code: int.optional(),
  reused: z.boolean().optional(),
  /** How many connections that were kept alive turned out to be closed before one carried it. */
  stale: int.optional(),
  queue_us: int,
  connect_us: int,
  duration_us: int,
  /** True where it was sent beside one that had not failed. */
  hedge: z.boolean().optional(),
})
const timing = obj({ queue_us: int, connect_us: int, first_byte_us: int.optional(), total_us: int })

/** What a request carried that became a tunnel. */
const tunnel = obj({
  protocol: text,
  /** From the client, and to it. */
  received_bytes: int,
  sent_bytes: int,
  duration_us: int,
  closed_by: z.enum(['client', 'backend', 'balancer']),
})

/** How much of a request is recorded. */
export const levels = ['none', 'metadata', 'headers', 'full'] as const
export type Level = (typeof levels)[number]
/** Absent where it is `headers`, the usual one. */
export const level = z.enum(['metadata', 'full'])

/** How a request went. */
export const completion = {
  request_id: text,
  client_request_id: text.optional(),
  app_request_id: text.optional(),
  result: z.enum(requestResults),
  ended_by: z.enum(['backend', 'client', 'balancer', 'host']),
  detail: text.optional(),
  decision: decision.optional(),
  attempts: z.array(attempt),
  retry_denied: z.enum(retryDenials).optional(),
  level: level.optional(),
  timing,
  tunnel: tunnel.optional(),
}

export const client = obj({ address: text, port: int.optional(), source: z.enum(clientSources) })
const peer = obj({ address: text, port: int.optional() })
export const network = obj({
  peer,
  /** Absent in lines of versions before 0.3.0. */
  protocol: obj({ name: z.literal('http'), version: z.enum(['1.0', '1.1', '2']) }).optional(),
})
export const tls = obj({
  cipher: text.optional(),
  client: obj({ hash: obj({ sha256: text }), subject: text }).optional(),
  protocol: obj({ name: z.literal('tls'), version: text.optional() }),
})
/** Where perhaps no request was read. */
export const connection = obj({ peer })
export const requestHead = {
  method: text,
  /** Absent at level `metadata`. */
  header: values.optional(),
  headers_omitted: int.optional(),
}
export const responseHead = {
  status_code: int.optional(),
  /** At level `full`. */
  header: values.optional(),
  headers_omitted: int.optional(),
}
export const url = obj({
  path: text,
  /** What stood where a path template has a name. */
  path_params: values.optional(),
  query: values.optional(),
  query_omitted: int.optional(),
  original_path: text.optional(),
})

export const access = obj({
  rule: text,
  phase: z.enum(['connection', 'request', 'admin']),
  detail: text.optional(),
  /** How many equal denials this line stands for, where they came in a flood. */
  count: int.optional(),
})
export const backend = obj({
  id: text,
  from: text,
  to: text,
  axis: z.enum(['admin', 'active', 'passive', 'capacity']),
  cause: text,
  failures: int,
  successes: int,
  threshold: int.optional(),
  downtime_us: int.optional(),
  last_error: text.optional(),
})
export const probed = obj({ id: text, failures: int, successes: int, duration_us: int, last_error: text.optional() })
export const backendSummary = obj({
  id: text,
  probes_ok: int,
  probes_failed: int,
  attempts_ok: int,
  attempts_failed: int,
  available_us: int,
  unavailable_us: int,
})

/** Where discovery found what an event tells of. */
export const source = { source: z.enum(sourceTypes), of: text }
/** What is declared of a backend that was found. */
export const declared = obj({
  url: text,
  weight: int,
  priority: int,
  zone: text.optional(),
  group: text.optional(),
  maxInFlight: int.optional(),
  serverName: text.optional(),
  socketPath: text.optional(),
  /** Certificates by fingerprint, keys by length. */
  tls: json.optional(),
})
