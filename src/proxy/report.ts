// The record of one request: what `request.received` and `request.completed` carry.
//
// It is made for every request, so members stand in the order of canonical JSON, and what is absent is undefined: sorting
// and copying would cost more than all the rest.
import type { ServerResponse } from 'node:http'
import type { BackendState } from '../backend.ts'
import type { Json } from '../canonical.ts'
import { type Decision, type Exclusion, exclusionReasons } from '../decision.ts'
import { failures } from '../errors.ts'
import { type EventFields, type Level, severity } from '../events.ts'
import type { AttemptResult, RequestResult, RetryDenial } from '../outcome.ts'
import type { Connected } from '../transport.ts'
import { valueIn } from './headers.ts'
import type { Incoming } from './incoming.ts'
import type { HandleOptions, Ports } from './ports.ts'
import { protocolOf, sentHead } from './versions.ts'

type Completed = EventFields<'request.completed'>
type AttemptReport = Completed['lb']['attempts'][number]
export type TunnelReport = NonNullable<Completed['lb']['tunnel']>
type DecisionReport = NonNullable<Completed['lb']['decision']>

/** What is known of an attempt. */
export interface AttemptNote {
  readonly backend: BackendState
  readonly decision: Decision
  readonly startUs: number
  readonly connected: Connected | undefined
  /** Status of the response, and when its head came. */
  readonly status: number | undefined
  readonly headUs: number | undefined
  readonly retryAfterMs: number | undefined
  /** How and when it ended; undefined while it runs. Written by the journal. */
  result: AttemptResult | undefined
  detail: string | undefined
  endUs: number
}

function attemptReport(note: AttemptNote, full: boolean): AttemptReport {
  const { id, address, port, socketPath } = note.backend.config
  const { connected } = note
  return {
    address: socketPath ?? address,
    backend: id,
    connect_us: connected?.connectUs ?? 0,
    decision: full ? decisionReport(note.decision) : undefined,
    detail: note.detail,
    duration_us: note.endUs - note.startUs,
    hedge: note.decision.hedge,
    peer_address: connected?.peerAddress,
    port: socketPath === undefined ? port : undefined,
    queue_us: connected?.queueUs ?? 0,
    reason: note.decision.reason,
    result: note.result ?? 'internal',
    reused: connected?.reused,
    stale: connected?.stale === 0 ? undefined : connected?.stale,
    status_code: note.status,
  }
}

/** How many exclusions are listed one by one; of more, so many stand for all, and the count is told. */
const mostExcluded = 32

/** A decision as a line holds it: the very one, which is named, shaped and ordered for that, but for a list that is too long. */
export function decisionReport(decision: Decision): DecisionReport {
  if (decision.excluded.length <= mostExcluded) return decision as DecisionReport
  const { backend, candidates, excluded, ...rest } = decision
  return { backend, candidates, excluded: sample(excluded), excluded_count: excluded.length, ...rest } as DecisionReport
}

// Some of each reason: which reasons there were matters more than every name.
function sample(excluded: readonly Exclusion[]): Exclusion[] {
  const each = Math.floor(mostExcluded / exclusionReasons.length)
  return exclusionReasons.flatMap((reason) => excluded.filter((one) => one.reason === reason).slice(0, each))
}

/** `path` is what the backend is asked for; what the client asked for stands beside it where that differs. */
function urlOf(
  { target: original, options }: Incoming,
  { target: sent, level }: Extent,
  ports: Ports,
): Completed['url'] {
  const asked = ports.redactor.url(level === 'metadata' ? pathIn(original) : original)
  // Rules have the last word, a mount the one before.
  const forwarded = sent ?? options.target
  if (forwarded === undefined || forwarded === original) return asked
  // The query is the same in both, and told already.
  const { path, path_params = asked.path_params } = ports.redactor.url(pathIn(forwarded))
  return path === asked.path
    ? asked
    : { original_path: asked.path, path, path_params, query: asked.query, query_omitted: asked.query_omitted }
}

/** A target without its query. */
export const pathIn = (target: string): string => {
  const mark = target.indexOf('?')
  return mark === -1 ? target : target.slice(0, mark)
}

/** Headers of the one or the other side, redacted; none where they are not to be recorded. */
function headersIn(raw: readonly string[] | undefined, ports: Ports): Partial<Completed['http']['request']> {
  if (raw === undefined) return none
  const { values, omitted } = ports.redactor.headers(raw)
  const header = values as unknown as Completed['http']['request']['header']
  return { header, headers_omitted: omitted === 0 ? undefined : omitted }
}
const none = { header: undefined, headers_omitted: undefined }

// Only where it is not the usual one.
const told = (level: Level): Completed['lb']['level'] => (level === 'metadata' || level === 'full' ? level : undefined)

/** What the host's function throws, or returns that is no text, is no route. */
function routeOf({ route }: HandleOptions): string | undefined {
  if (typeof route !== 'function') return route
  try {
    const found: unknown = route()
    return typeof found === 'string' ? found : undefined
  } catch {
    return undefined
  }
}

/** One of our own tells nothing of anybody. */
const idOf = ({ requestId: id, said, options }: Incoming, { redactor }: Ports): string =>
  said?.requestId === undefined && options.handedOver === undefined ? id : redactor.id(id)!

/** How much is recorded of a request. */
export interface Extent {
  readonly level: Level
  /** Path and query as backends are asked, where the request came that far. */
  readonly target: string | undefined
}

/** `openUs`: how long it has been open, where that is why it is told. */
export function receivedFields(
  facts: Incoming,
  extent: Extent,
  openUs: number | undefined,
  ports: Ports,
): EventFields<'request.received'> {
  const { request, rawHeaders, client, peer, trace } = facts
  const { header, headers_omitted } = headersIn(extent.level === 'metadata' ? undefined : rawHeaders, ports)
  return {
    client,
    http: {
      request: { header, headers_omitted, method: request.method ?? '' },
      route: routeOf(facts.options),
    },
    lb: { level: told(extent.level), open_us: openUs, request_id: idOf(facts, ports) },
    network: { peer, protocol: protocolOf(request) },
    span_id: trace?.spanId,
    tls: facts.encryption,
    trace_id: trace?.traceId,
    url: urlOf(facts, extent, ports),
  }
}

export interface Completion extends Extent {
  /** What the host says of it. */
  readonly app: Json | undefined
  readonly response: ServerResponse | undefined
  /** Whether it failed, or was answered so. */
  readonly failed: boolean
  readonly result: RequestResult
  readonly detail: string | undefined
  readonly retryDenied: RetryDenial | undefined
  /** The pick that counts: see {@link Journal}. */
  readonly decision: Decision | undefined
  /** In the order of their beginning. */
  readonly attempts: readonly AttemptNote[]
  /** The one whose times are the request's. */
  readonly settled: AttemptNote | undefined
  /** Whether the host has answered it. */
  readonly byHost: boolean
  /** Where it became a tunnel. */
  readonly tunnel: TunnelReport | undefined
  /** How long it waited for a backend with room. */
  readonly waitedUs: number
  readonly status: number | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  readonly startUs: number
  readonly endUs: number
}

export function completedFields(facts: Incoming, end: Completion, ports: Ports): Completed {
  const { request, rawHeaders, client, peer, requestId, trace } = facts
  const { result, decision, attempts, settled, status, startUs, level, failed } = end
  const full = level === 'full'
  const sent = headersIn(full && end.response !== undefined ? sentHead(end.response) : undefined, ports)
  const { header, headers_omitted } = headersIn(level === 'metadata' ? undefined : rawHeaders, ports)
  const [clientId, { config_hash, config_revision, pool }] = [valueIn(rawHeaders, 'x-request-id'), ports.stamp()]
  const connected = settled?.connected
  return {
    app: end.app,
    client,
    http: {
      request: {
        body: { size: end.requestBytes },
        header,
        headers_omitted,
        method: request.method ?? '',
      },
      response: {
        body: { size: end.responseBytes },
        header: sent.header,
        headers_omitted: sent.headers_omitted,
        status_code: status,
      },
      route: routeOf(facts.options),
    },
    lb: {
      app_request_id: ports.redactor.id(facts.options.appRequestId),
      attempts: attempts.map((attempt) => attemptReport(attempt, full)),
      client_request_id: clientId === requestId ? undefined : ports.redactor.id(clientId),
      config_hash,
      config_revision,
      decision: decision === undefined ? undefined : decisionReport(decision),
      detail: end.detail,
      ended_by: endedBy(end),
      level: told(level),
      pool,
      request_id: idOf(facts, ports),
      result,
      retry_denied: end.retryDenied,
      timing: {
        connect_us: connected?.connectUs ?? 0,
        first_byte_us: settled?.headUs === undefined ? undefined : settled.headUs - startUs,
        queue_us: end.waitedUs + (connected?.queueUs ?? 0),
        total_us: end.endUs - startUs,
      },
      tunnel: end.tunnel,
    },
    network: { peer, protocol: protocolOf(request) },
    outcome: failed ? 'failure' : 'success',
    severity: failed ? severity.warn : severity.info,
    span_id: trace?.spanId,
    tls: facts.encryption,
    trace_id: trace?.traceId,
    url: urlOf(facts, end, ports),
  }
}

function endedBy({ result, attempts, byHost, tunnel }: Completion): Completed['lb']['ended_by'] {
  if (tunnel !== undefined) return tunnel.closed_by
  if (result === 'client-gone') return 'client'
  if (byHost) return 'host'
  if (result === 'ok') return 'backend'
  return attempts.length > 0 && failures[result].blame === 'backend' ? 'backend' : 'balancer'
}
