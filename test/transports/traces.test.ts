// Instrumentation of `node:http` sees the requests of that transport, and each goes out with one trace.
import { createRequire } from 'node:module'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { expect, it, onTestFinished } from 'vitest'
import { httpTransport } from '../../src/transports/http.ts'
import { attempt, transportOf } from '../support/attempt.ts'
import { answering, refusing } from '../support/backends.ts'
import { namesOf, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const given = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

it('a request that instrumentation has traced has its traceparent, and not ours too; its headers are whole', async () => {
  const exporter = new InMemorySpanExporter()
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  provider.register()
  const instrumentation = new HttpInstrumentation({ disableIncomingRequestInstrumentation: true })
  const unregister = registerInstrumentations({ instrumentations: [instrumentation], tracerProvider: provider })
  onTestFinished(async () => {
    unregister()
    await provider.shutdown()
  })
  // It patches the module when that is asked for.
  createRequire(import.meta.url)('http')
  const backend = await answering()
  const transport = transportOf(httpTransport)
  const headers = ['host', 'a', 'traceparent', given, 'tracestate', 'x=1', 'X-A', '1', 'x-a', '2']
  expect(await attempt(transport, backend.url, { path: '/x', headers }).over()).toMatchObject({ status: 200 })
  const [{ rawHeaders }] = backend.seen as [(typeof backend.seen)[0]]
  expect(valuesOf(rawHeaders, 'traceparent')).toHaveLength(1)
  expect(valuesOf(rawHeaders, 'tracestate')).toEqual([])
  expect(namesOf(rawHeaders)).toEqual(['traceparent', 'host', 'X-A', 'X-A', 'Connection'])
  await until(() => exporter.getFinishedSpans().length === 1)
  const [span] = exporter.getFinishedSpans()
  expect(valuesOf(rawHeaders, 'traceparent')[0]).toContain(span!.spanContext().spanId)
  expect(span!.attributes).toMatchObject({ 'url.full': `${backend.url}/x`, 'http.response.status_code': 200 })
  // The span of a request that got no connection ends too.
  await attempt(transport, (await refusing()).url).over()
  await until(() => exporter.getFinishedSpans().length === 2)
})

it('a request that nobody has traced has the traceparent that it was given', async () => {
  const backend = await answering()
  const headers = ['host', 'a', 'traceparent', given, 'tracestate', 'x=1']
  await attempt(transportOf(httpTransport), backend.url, { headers }).over()
  expect(valuesOf(backend.seen[0]!.rawHeaders, 'traceparent')).toEqual([given])
  expect(valuesOf(backend.seen[0]!.rawHeaders, 'tracestate')).toEqual(['x=1'])
})
