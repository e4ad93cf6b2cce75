// The record of one request: what `request.received` and `request.completed` carry.
import type { IncomingMessage } from 'node:http'
import type { BackendState } from '../backend.ts'
import { type Decision, type Exclusion, exclusionReasons } from '../decision.ts'
import { failures } from '../errors.ts'
import { type EventFields, severity } from '../events.ts'
import type { AttemptFailure, RequestResult } from '../outcome.ts'
import type { Peer } from '../request.ts'
import type { Connected } from '../transport.ts'
import { fieldOf } from './headers.ts'
import type { HandleOptions, Ports } from './ports.ts'

type Completed = EventFields<'request.completed'>
export type AttemptReport = Completed['lb']['attempts'][number]

/** Attempts on backends, as they go. */
export interface AttemptNote {
  readonly backend: BackendState
  readonly decision: Decision
  readonly startUs: number
  connected?: Connected
  status?: number
}

export function attemptReport(note: AttemptNote, endUs: number, failure: AttemptFailure | undefined): AttemptReport {
  const { id, address, port } = note.backend.config
  return {
    address,
    backend: id,
    connect_us: note.connected?.connectUs ?? 0,
    ...(failure === undefined ? {} : { detail: failure.detail }),
    duration_us: endUs - note.startUs,
    port,
    queue_us: note.connected?.queueUs ?? 0,
    reason: note.decision.reason,
    result: failure?.result ?? 'ok',
    ...(note.connected === undefined ? {} : { reused: note.connected.reused }),
    ...(note.status === undefined ? {} : { status_code: note.status }),
  }
}

/** How many exclusions are listed one by one; of more, so many stand for all, and the count is told. */
const mostExcluded = 32

/** A decision as a line holds it. */
export function decisionReport(decision: Decision): NonNullable<Completed['lb']['decision']> {
  const { backend, excluded, ...rest } = decision
  const kept = excluded.length > mostExcluded ? sample(excluded) : excluded
  return {
    ...(backend === undefined ? {} : { backend }),
    ...rest,
    excluded: kept as Exclusion[],
    ...(excluded.length > mostExcluded ? { excluded_count: excluded.length } : {}),
  }
}

// Some of each reason: which reasons there were matters more than every name.
function sample(excluded: readonly Exclusion[]): Exclusion[] {
  const each = Math.floor(mostExcluded / exclusionReasons.length)
  return exclusionReasons.flatMap((reason) => excluded.filter((one) => one.reason === reason).slice(0, each))
}

/** The facts of a request that stand from its beginning. */
export interface RequestFacts {
  readonly request: IncomingMessage
  readonly requestId: string
  readonly peer: Peer
  readonly options: HandleOptions
}

const traceparent = /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}/

/** The part that both events share. */
function headFields(facts: RequestFacts, ports: Ports) {
  const { request, peer, options } = facts
  const { values, omitted } = ports.redactor.headers(request.rawHeaders)
  const original = options.originalTarget ?? request.url ?? ''
  const url = ports.redactor.url(original)
  const forwarded = options.target === undefined ? undefined : ports.redactor.url(options.target).path
  const trace = traceparent.exec(fieldOf(request.rawHeaders, 'traceparent') ?? '')
  return {
    client: { ...peer, source: 'peer' as const },
    network: { peer },
    requestHead: {
      header: values,
      ...(omitted === 0 ? {} : { headers_omitted: omitted }),
      method: request.method ?? '',
    },
    // `path` is what the backend is asked for; what the client asked for stands beside it where that differs.
    url: forwarded === undefined || forwarded === url.path ? url : { original_path: url.path, ...url, path: forwarded },
    ...(trace === null ? {} : { trace_id: trace[1]!, span_id: trace[2]! }),
  }
}

export function receivedFields(facts: RequestFacts, ports: Ports): EventFields<'request.received'> {
  const { requestHead, ...rest } = headFields(facts, ports)
  return { ...rest, http: { request: requestHead }, lb: { request_id: facts.requestId } }
}

export interface Completion {
  readonly result: RequestResult
  readonly detail: string | undefined
  readonly decision: Decision | undefined
  readonly attempts: AttemptReport[]
  readonly status: number | undefined
  readonly requestBytes: number
  readonly responseBytes: number
  readonly startUs: number
  readonly firstByteUs: number | undefined
  readonly endUs: number
}

export function completedFields(facts: RequestFacts, end: Completion, ports: Ports): Completed {
  const { requestHead, client, network, url, ...trace } = headFields(facts, ports)
  const { result, detail, decision, attempts, status } = end
  const last = attempts[attempts.length - 1]
  const failed = result !== 'ok' || (status !== undefined && status >= 500)
  const clientId = fieldOf(facts.request.rawHeaders, 'x-request-id')
  return {
    ...trace,
    client,
    http: {
      request: { body: { size: end.requestBytes }, ...requestHead },
      response: { body: { size: end.responseBytes }, ...(status === undefined ? {} : { status_code: status }) },
    },
    lb: {
      attempts,
      ...(clientId === undefined ? {} : { client_request_id: clientId.replace(/[^\x21-\x7e]/g, '?').slice(0, 128) }),
      ...(decision === undefined ? {} : { decision: decisionReport(decision) }),
      ...(detail === undefined ? {} : { detail }),
      ended_by: endedBy(result, attempts.length),
      request_id: facts.requestId,
      result,
      timing: {
        connect_us: last?.connect_us ?? 0,
        ...(end.firstByteUs === undefined ? {} : { first_byte_us: end.firstByteUs - end.startUs }),
        queue_us: last?.queue_us ?? 0,
        total_us: end.endUs - end.startUs,
      },
    },
    network,
    outcome: failed ? 'failure' : 'success',
    severity: failed ? severity.warn : severity.info,
    url,
  }
}

function endedBy(result: RequestResult, attempts: number): 'backend' | 'client' | 'balancer' {
  if (result === 'ok') return 'backend'
  if (result === 'client-gone') return 'client'
  return attempts > 0 && failures[result].blame === 'backend' ? 'backend' : 'balancer'
}
