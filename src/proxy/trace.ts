// The trace that a request belongs to: the host's active span, by OpenTelemetry's global API, or what the client sent.
import { valueIn } from './headers.ts'

/** Where OpenTelemetry's API, of major version 1, keeps what was registered with it; and a span within a context. */
const apiKey = Symbol.for('opentelemetry.js.api.1')
const spanKey = Symbol.for('OpenTelemetry Context Key SPAN')

/** What we use of OpenTelemetry's API. */
interface Context {
  getValue(key: symbol): unknown
}
interface ContextManager {
  active(): Context
  with(context: Context, act: () => void): void
}
interface SpanContext {
  readonly traceId: string
  readonly spanId: string
  readonly traceFlags: number
  readonly traceState?: { serialize(): string } | undefined
}

export interface Trace {
  readonly traceId: string
  readonly spanId: string
}

/** The span that is active, and how it is told. */
interface ActiveSpan extends Trace {
  readonly traceparent: string
  readonly tracestate: string
}

/** What the host does with the request, as OpenTelemetry sees it. */
export interface Ambient {
  readonly span: ActiveSpan | undefined
  /** Runs this as a part of it, whoever calls. */
  within(act: () => void): void
}

const validTraceId = /^(?!0{32})[0-9a-f]{32}$/
const validSpanId = /^(?!0{16})[0-9a-f]{16}$/
const sendable = /^[\x20-\x7e]{1,512}$/

/** Undefined where nothing is registered. Whatever is must not make a request fail. */
export function ambient(): Ambient | undefined {
  const manager = (globalThis as { [apiKey]?: { context?: ContextManager } })[apiKey]?.context
  if (manager === undefined) return undefined
  try {
    const context = manager.active()
    return { span: spanIn(context), within: (act) => manager.with(context, act) }
  } catch {
    return undefined
  }
}

function spanIn(context: Context): ActiveSpan | undefined {
  const span = context.getValue(spanKey) as { spanContext(): SpanContext } | undefined
  if (span === undefined) return undefined
  const { traceId, spanId, traceFlags, traceState } = span.spanContext()
  if (!validTraceId.test(traceId) || !validSpanId.test(spanId)) return undefined
  const flags = (traceFlags & 0xff).toString(16).padStart(2, '0')
  const state = traceState?.serialize() ?? ''
  const tracestate = sendable.test(state) ? state : ''
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate }
}

// Of version 00 nothing may follow, of later ones more members may, and ff is none.
const traceparent =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(?:-|$)/

/** What the client says in its first `traceparent` (W3C Trace Context section 3.2). */
export function sentTrace(headers: readonly string[]): Trace | undefined {
  const value = valueIn(headers, 'traceparent')
  const [, traceId, spanId] = value === undefined ? [] : (traceparent.exec(value) ?? [])
  return traceId === undefined ? undefined : { traceId, spanId: spanId! }
}
