// The words of OpenTelemetry: an event as LogsData of OTLP 1.x in JSON, one log record with flat attributes.
import type { LineEvent } from '../../sink.ts'
import { version } from '../../version.ts'
import { lineOf, queryOf, redacted, severityOf, severityText, textAt, timeOf, uidOf } from './facts.ts'

type AnyValue =
  | Record<string, never>
  | { readonly stringValue: string }
  | { readonly boolValue: boolean }
  /** 64 bits go as text in the JSON of protobuf. */
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly arrayValue: { readonly values: readonly AnyValue[] } }
  | { readonly kvlistValue: { readonly values: readonly KeyValue[] } }
export interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}
export interface ResourceLogs {
  readonly resource: { readonly attributes: readonly KeyValue[] }
  readonly scopeLogs: readonly {
    readonly scope: { readonly name: string; readonly version: string }
    readonly logRecords: readonly object[]
  }[]
}
export interface LogsData {
  readonly resourceLogs: readonly ResourceLogs[]
}

/**
 * An event as LogsData of OTLP, as the file exporter of OpenTelemetry writes them, one a line. The body is the line itself:
 * what is stored so can still be proved. Attributes have the names of the event's members, joined by dots, which are those of the
 * semantic conventions where these have a name.
 */
export const toOtel = (event: LineEvent, line: string = lineOf(event)): LogsData => ({
  resourceLogs: [resourceLogs(resourceOf(event), [recordOf(event, line)])],
})

export const resourceLogs = (attributes: readonly KeyValue[], logRecords: readonly object[]): ResourceLogs => ({
  resource: { attributes },
  scopeLogs: [{ scope: { name: 'auditlb', version }, logRecords }],
})

/** Who tells it: the part that many events share. */
export function resourceOf(event: LineEvent): KeyValue[] {
  const out: KeyValue[] = []
  flat(event.service, 'service', out)
  flat(event.cloud, 'cloud', out)
  return out
}

export function recordOf(event: LineEvent, line: string): object {
  const [severity, nanos] = [severityOf(event), `${timeOf(event)}000000`]
  const [trace, span] = [textAt(event, 'trace_id'), textAt(event, 'span_id')]
  return {
    timeUnixNano: nanos,
    observedTimeUnixNano: nanos,
    severityNumber: severity,
    severityText: severityText(severity),
    eventName: textAt(event, 'event_name') ?? '',
    body: { stringValue: line },
    attributes: attributesOf(event),
    ...(trace !== undefined && /^[0-9a-f]{32}$/.test(trace) ? { traceId: trace } : {}),
    ...(span !== undefined && /^[0-9a-f]{16}$/.test(span) ? { spanId: span } : {}),
  }
}

/** The methods that the semantic conventions know; any other is `_OTHER`, and told beside. */
const methods = new Set(['CONNECT', 'DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY', 'TRACE'])

/** Members that a log record has a place of its own for, and those that are told otherwise. */
const placed: ReadonlySet<string> = new Set([
  'cloud',
  'event_name',
  'http',
  'log',
  'service',
  'severity',
  'span_id',
  'time',
  'trace_id',
  'url',
])

function attributesOf(event: LineEvent): KeyValue[] {
  const out: KeyValue[] = []
  for (const key in event) if (!placed.has(key)) flat(event[key], key, out)
  flat(event.log, 'audit.log', out)
  const { query, ...url } = Object(event.url) as { query?: unknown }
  flat(url, 'url', out)
  if (query !== undefined) flat(queryOf(event), 'url.query', out)
  http(event, out)
  flat(uidOf(event), 'log.record.uid', out)
  return out
}

function http(event: LineEvent, out: KeyValue[]): void {
  const { request, response, ...rest } = Object(event.http) as Record<string, Record<string, unknown> | undefined>
  flat(rest, 'http', out)
  for (const [side, given] of Object.entries({ request, response })) {
    const { header, method, ...others } = Object(given) as Record<string, unknown>
    flat(others, `http.${side}`, out)
    for (const [name, values] of Object.entries(Object(header) as object))
      flat(Array.isArray(values) ? values : [redacted], `http.${side}.header.${name}`, out)
    if (typeof method !== 'string') continue
    flat(methods.has(method) ? method : '_OTHER', 'http.request.method', out)
    if (!methods.has(method)) flat(method, 'http.request.method_original', out)
  }
}

/** What the host, or a configuration, has given names to stays one value: nobody knows how many there are. */
const closed: ReadonlySet<string> = new Set([
  'app',
  'audit.log.by_type',
  'audit.log.filters',
  'audit.log.origins',
  'audit.log.skipped',
  'balancer.config',
  'config.after',
  'config.attempted',
  'config.before',
  'discovery.after',
  'discovery.before',
  'lb.decision.trace',
  'url.path_params',
])

function flat(value: unknown, place: string, out: KeyValue[]): void {
  if (value === undefined) return
  if (typeof value !== 'object' || value === null || Array.isArray(value) || closed.has(place))
    out.push({ key: place, value: anyValue(value) })
  else for (const [key, inner] of Object.entries(value)) flat(inner, `${place}.${key}`, out)
}

function anyValue(value: unknown): AnyValue {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (typeof value === 'number')
    return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value }
  if (Array.isArray(value)) return { arrayValue: { values: value.map(anyValue) } }
  if (typeof value !== 'object' || value === null) return {}
  const values = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return { kvlistValue: { values: values.map(([key, inner]) => ({ key, value: anyValue(inner) })) } }
}
