// Sends requests through a balancer of the built package to a raw backend, under OpenTelemetry, and prints what arrived:
// `otel-program.mjs <http> <undici>` with the instrumentations that are to be on.
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { connect, createServer as createNetServer } from 'node:net'

const require = createRequire(import.meta.url)
const instrumented = process.argv.slice(2)

const { context, trace } = require('@opentelemetry/api')
const { registerInstrumentations } = require('@opentelemetry/instrumentation')
const { NodeTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node')
const exporter = new InMemorySpanExporter()
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
provider.register()
const instrumentations = []
if (instrumented.includes('http')) {
  const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
  instrumentations.push(new HttpInstrumentation())
}
if (instrumented.includes('undici')) {
  const { UndiciInstrumentation } = require('@opentelemetry/instrumentation-undici')
  instrumentations.push(new UndiciInstrumentation())
}
registerInstrumentations({ instrumentations })

// Loaded after that, as CommonJS: so the patches apply.
const { createServer: createHttpServer } = require('node:http')
const { createBalancer } = require('../../dist/index.cjs')
const { nodeHandler } = require('../../dist/node.cjs')

const heads = []
/** The first request that asks for it is cut off, so that it is tried again. */
let cut = false
const backend = createNetServer((socket) => {
  let text = ''
  socket.on('error', () => undefined)
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
    for (let end = text.indexOf('\r\n\r\n'); end !== -1; end = text.indexOf('\r\n\r\n')) {
      const head = text.slice(0, end)
      text = text.slice(end + 4)
      heads.push(head)
      if (head.includes('/cut') && !cut) {
        cut = true
        socket.destroy()
        return
      }
      const answer = () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      if (head.includes('slow')) setTimeout(answer, 50)
      else answer()
    }
  })
}).listen(0, '127.0.0.1')
await once(backend, 'listening')
const url = `http://127.0.0.1:${backend.address().port}`

const balancer = createBalancer({
  backends: [
    { id: 'a', url },
    { id: 'b', url },
  ],
  strategy: 'first',
  connections: { max: 1 },
})
const handler = nodeHandler(balancer)
const tracer = trace.getTracer('test')
/** The host's own span, where a request asks for one. */
const server = createHttpServer((request, response) => {
  if (!request.url.startsWith('/own')) return handler(request, response)
  const span = tracer.startSpan('own')
  context.with(trace.setSpan(context.active(), span), () => handler(request, response))
}).listen(0, '127.0.0.1')
await once(server, 'listening')

function ask(path, headers = '') {
  const completed = new Promise((resolve) => {
    balancer.audit.on('request.completed', (event) => event.url.path === path && resolve(event))
  })
  const before = exporter.getFinishedSpans().length
  const socket = connect(server.address().port, '127.0.0.1')
  socket.resume().write(`GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}Connection: close\r\n\r\n`)
  return once(socket, 'close')
    .then(() => completed)
    .then(({ trace_id, span_id, lb }) => ({
      path,
      trace_id,
      span_id,
      result: lb.result,
      // Each connection that was stale has carried it once more.
      attempts: lb.attempts.reduce((sum, { stale = 0 }) => sum + 1 + stale, 0),
      parents: exporter
        .getFinishedSpans()
        .slice(before)
        .filter((span) => span.kind === 2 && span.attributes['url.path'] === path)
        .map((span) => span.parentSpanContext?.spanId ?? null),
      arrived: heads
        .filter((head) => head.startsWith(`GET ${path} `))
        .map((head) => ({
          traceparent: [...head.matchAll(/^traceparent: (.*?)\r?$/gim)].map(([, value]) => value),
          tracestate: [...head.matchAll(/^tracestate: (.*?)\r?$/gim)].map(([, value]) => value),
          baggage: [...head.matchAll(/^baggage: (.*?)\r?$/gim)].map(([, value]) => value),
        })),
    }))
}

const sent =
  'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1,b=2\r\nbaggage: k=v\r\n'
const told = [
  await ask('/plain'),
  await ask('/sent', sent),
  await ask('/own'),
  await ask('/own-sent', sent),
  await ask('/cut', sent),
  // Those that wait for a connection are sent when another one's response has ended.
  ...(await Promise.all(['/own-slow', '/slow-1', '/slow-2', '/own-2'].map((path) => ask(path)))),
]
process.stdout.write(`told ${JSON.stringify(told)}\n`)
server.close()
await balancer.close({ deadlineMs: 0 })
backend.close()
