// A Fastify app with a balancer below /api, closed together with the app.
import { createBalancer, fileSink } from 'auditlb'
import { fastifyBalancer } from 'auditlb/fastify'
import { attach } from 'auditlb/node'
import Fastify from 'fastify'
import { startBackends } from './backends.mjs'

const balancer = createBalancer({
  name: 'api',
  backends: await startBackends('b1', 'b2'),
  audit: { sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] },
})

const app = Fastify()
// One log for all: requests that the app answers by itself have the same record.
app.register(fastifyBalancer, { balancer, auditOnly: true })
// Hooks of the app run before the request is handed over, and headers that they set go along.
app.addHook('onRequest', (_request, reply, done) => {
  reply.header('x-served-by', 'fastify')
  done()
})
app.get('/', async () => 'served by the app itself')
// Backends get /v1 in the place of /api. Who has no token gets no further, WebSockets too.
app.register(fastifyBalancer, {
  balancer,
  prefix: '/api',
  rewritePrefix: '/v1',
  preHandler: async (request, reply) => {
    if (request.headers.authorization !== 'Bearer secret') return reply.code(401).send('who are you?')
  },
  closeBalancer: true,
})
app.addHook('onReady', () => balancer.ready())

attach(app.server, balancer)
console.log(`listening on ${await app.listen({ port: Number(process.env.PORT ?? 0), host: '127.0.0.1' })}`)

process.on('SIGTERM', () => app.close())
