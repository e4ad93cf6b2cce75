// Traces: the active span goes on, the client's where there is none, and never two; held against OpenTelemetry itself.
import { afterEach, describe, expect, it } from 'vitest'
import { ambient, sentTrace } from '../../src/proxy/trace.ts'
import { answering } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { start } from '../support/program.ts'
import { send, valuesOf } from '../support/raw-client.ts'

const sentId = '0af7651916cd43dd8448eb211c80319c'
const sentSpan = 'b7ad6b7169203331'
const sent = `00-${sentId}-${sentSpan}-01`

interface Told {
  readonly path: string
  readonly trace_id?: string
  readonly span_id?: string
  readonly result: string
  readonly attempts: number
  /** Of the spans that an instrumentation made for the attempts. */
  readonly parents: readonly (string | null)[]
  readonly arrived: readonly { traceparent: string[]; tracestate: string[]; baggage: string[] }[]
}

/** What a program of the built package tells, under these instrumentations. */
async function under(...instrumented: string[]): Promise<Record<string, Told>> {
  const program = start('test/support/otel-program.mjs', ...instrumented)
  const told = JSON.parse(await program.said('told')) as Told[]
  expect(told.map(({ result, attempts, arrived }) => [result, arrived.length - attempts])).toEqual(
    told.map(() => ['ok', 0]),
  )
  return Object.fromEntries(told.map((one) => [one.path, one]))
}
const parts = (told: Told): string[][] =>
  told.arrived.map(({ traceparent }) => {
    expect([told.path, traceparent]).toEqual([told.path, [expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)]])
    return traceparent[0]!.split('-')
  })
const traces = (told: Told): string[] => parts(told).map(([, trace]) => trace!)
const spans = (told: Told): string[] => parts(told).map(([, , span]) => span!)

describe('under the instrumentation of http and undici', () => {
  it('a backend gets one traceparent, of the trace that the record names, whoever began it', async () => {
    const all = await under('http', 'undici')
    for (const told of Object.values(all)) {
      expect(traces(told)).toEqual(told.arrived.map(() => told.trace_id))
      // It is that of the span of the attempt, whose parent is the span of the record: a retry and who waited included.
      expect(told.parents).toEqual(told.arrived.map(() => told.span_id))
      expect(spans(told)).not.toContain(told.span_id)
    }
    expect(all['/cut']).toMatchObject({ attempts: 2, trace_id: sentId })
    for (const path of ['/sent', '/own-sent', '/cut'])
      expect(all[path]).toMatchObject({
        trace_id: sentId,
        arrived: all[path]!.arrived.map(() => ({ tracestate: ['a=1,b=2'], baggage: ['k=v'] })),
      })
  })
})

describe('under the instrumentation of http alone', () => {
  it('a backend gets the span of the server', async () => {
    for (const told of Object.values(await under('http'))) {
      expect(traces(told)).toEqual(told.arrived.map(() => told.trace_id))
      expect(spans(told)).toEqual(told.arrived.map(() => told.span_id))
    }
  })
})

describe('under the instrumentation of undici alone', () => {
  it('a trace that came stays, and each request is of its own context', async () => {
    const all = await under('undici')
    for (const path of ['/sent', '/cut']) {
      expect(traces(all[path]!)).toEqual(all[path]!.arrived.map(() => sentId))
      expect(all[path]).toMatchObject({ trace_id: sentId, span_id: sentSpan })
      for (const { tracestate, baggage } of all[path]!.arrived)
        expect([tracestate, baggage]).toEqual([['a=1,b=2'], ['k=v']])
    }
    for (const path of ['/own', '/own-sent', '/own-slow', '/own-2']) {
      expect(traces(all[path]!)).toEqual([all[path]!.trace_id])
      expect(all[path]!.parents).toEqual([all[path]!.span_id])
    }
    // What has no trace gets none of another one, though that one's end is what it waited for.
    for (const path of ['/plain', '/slow-1', '/slow-2']) {
      expect(parts(all[path]!)).toHaveLength(1)
      expect([all[path]!.trace_id, all[path]!.parents]).toEqual([undefined, [null]])
    }
  })
})

describe('without instrumentation', () => {
  it('the active span goes out in the place of what came, and what came goes on where there is none', async () => {
    const all = await under()
    for (const path of ['/own', '/own-sent', '/own-slow', '/own-2']) {
      expect(traces(all[path]!)).toEqual([all[path]!.trace_id])
      expect(spans(all[path]!)).toEqual([all[path]!.span_id])
    }
    expect(all['/own-sent']!.trace_id).not.toBe(sentId)
    // The state belongs to the trace that was replaced; baggage does not.
    expect(all['/own-sent']!.arrived).toMatchObject([{ tracestate: [], baggage: ['k=v'] }])
    expect(all['/sent']).toMatchObject({
      trace_id: sentId,
      span_id: sentSpan,
      arrived: [{ traceparent: [sent], tracestate: ['a=1,b=2'] }],
    })
    for (const path of ['/plain', '/slow-1']) {
      expect(all[path]!.trace_id).toBeUndefined()
      expect(all[path]!.arrived).toMatchObject([{ traceparent: [] }])
    }
  })
})

describe('what came', () => {
  it.each([
    [sent, { traceId: sentId, spanId: sentSpan }],
    [`cc-${sentId}-${sentSpan}-01-more`, { traceId: sentId, spanId: sentSpan }],
    [`00-${'0'.repeat(32)}-${sentSpan}-01`, undefined],
    [`00-${sentId}-${'0'.repeat(16)}-01`, undefined],
    [`00-${sentId.toUpperCase()}-${sentSpan}-01`, undefined],
    [`00-${sentId}-${sentSpan}-01-more`, undefined],
    [`cc-${sentId}-${sentSpan}-01more`, undefined],
    [`ff-${sentId}-${sentSpan}-01`, undefined],
    ['x', undefined],
  ])('%s is read as %j', (value, expected) => {
    expect(sentTrace(['TraceParent', value])).toEqual(expected)
  })

  it('goes on as it is', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    await send(port, { headers: ['traceparent', 'nonsense', 'tracestate', 'a=1'] })
    expect((await one()).trace_id).toBeUndefined()
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'traceparent')).toEqual(['nonsense'])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'tracestate')).toEqual(['a=1'])
  })
})

describe('whatever is registered as OpenTelemetry', () => {
  const global = globalThis as Record<symbol, unknown>
  const key = Symbol.for('opentelemetry.js.api.1')
  afterEach(() => {
    delete global[key]
  })
  const registered = (spanContext: unknown) => ({
    context: {
      active: () => ({ getValue: () => ({ spanContext: () => spanContext }) }),
      with: (_: unknown, act: () => void) => act(),
    },
  })

  it.each([
    ['nothing', {}],
    [
      'a manager that throws',
      {
        context: {
          active: () => {
            throw new Error('no')
          },
        },
      },
    ],
    ['a manager without a context', { context: { active: () => undefined } }],
    ['a span that has no context', registered(undefined)],
    ['a span that is not valid', registered({ traceId: '0'.repeat(32), spanId: sentSpan, traceFlags: 1 })],
    ['a span with a line break', registered({ traceId: sentId, spanId: `${sentSpan}\r\n`, traceFlags: 1 })],
  ])('fails no request, and tells nothing wrong: %s', async (_, api) => {
    global[key] = api
    const backend = await answering()
    const { port } = await edge([backend])
    expect(await send(port)).toMatchObject({ status: 200 })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'traceparent')).toEqual([])
    expect(ambient()?.span).toBeUndefined()
  })

  it('an active span goes out in the place of what came, once, and is in the record', async () => {
    const traceId = 'f'.repeat(32)
    global[key] = registered({ traceId, spanId: sentSpan, traceFlags: 257, traceState: { serialize: () => 'c=3' } })
    const backend = await answering()
    const { port, one } = await edge([backend])
    await send(port, { headers: ['TraceParent', sent, 'traceparent', sent, 'TraceState', 'a=1'] })
    const { rawHeaders } = backend.seen[0]!
    expect(valuesOf(rawHeaders, 'traceparent')).toEqual([`00-${traceId}-${sentSpan}-01`])
    expect(valuesOf(rawHeaders, 'tracestate')).toEqual(['c=3'])
    expect(await one()).toMatchObject({ trace_id: traceId, span_id: sentSpan })
  })

  it('of several that a client sends the first goes on, and is in the record', async () => {
    const other = sent.replace(sentId, 'b'.repeat(32))
    for (const transport of ['direct', 'undici', 'http'] as const) {
      const backend = await answering()
      const { port, one } = await edge([backend], { transport })
      await send(port, { headers: ['TraceParent', sent, 'traceparent', other, 'tracestate', 'a=1'] })
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'traceparent')).toEqual([sent])
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'tracestate')).toEqual(['a=1'])
      expect(await one()).toMatchObject({ trace_id: sentId, span_id: sentSpan })
    }
  })

  it('a state that cannot be sent stays here', () => {
    const state = (text: string) => ({
      traceId: sentId,
      spanId: sentSpan,
      traceFlags: 1,
      traceState: { serialize: () => text },
    })
    global[key] = registered(state('a=1\r\nx: y'))
    expect(ambient()?.span).toMatchObject({ traceparent: sent, tracestate: '' })
    global[key] = registered(state('a=1'))
    expect(ambient()?.span).toMatchObject({ traceparent: sent, tracestate: 'a=1' })
  })
})
