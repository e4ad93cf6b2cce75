// One Express app with several balancers under several mounts, WebSockets among them, and routes of its own: one trail tells of
// all of them.
import { once } from 'node:events'
import { createAudit, createBalancer, fileSink } from 'auditlb'
import { expressBalancer } from 'auditlb/express'
import { attach } from 'auditlb/node'
import express from 'express'
import { startBackends } from './backends.mjs'

const audit = createAudit({ service: 'shop', sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] })
await audit.ready()

const orders = createBalancer({ name: 'orders', backends: await startBackends('o1', 'o2'), audit })
const payments = createBalancer({ name: 'payments', backends: await startBackends('p1'), audit })
const chat = createBalancer({ name: 'chat', backends: await startBackends('c1', 'c2'), audit })
// A pool without backends: it records what the app answers by itself.
const own = createBalancer({ name: 'own', backends: [], audit })

const app = express()
// Requests that a balancer takes over below have the record of that one alone.
app.use(expressBalancer(own, { auditOnly: true }))
app.get('/items/:id', (request, response) => response.json({ item: request.params.id }))

app.use('/orders', expressBalancer(orders))
app.use('/chat', expressBalancer(chat))
// Backends that expect the whole path, and reads only; what fails goes to the app's error handler.
const isRead = ({ method }) => method === 'GET' || method === 'HEAD'
app.use('/payments', expressBalancer(payments, { keepMount: true, match: isRead, onError: 'next' }))
app.use((error, _request, response, _next) =>
  response.status(error.status ?? 500).json({ sorry: error.code ?? 'internal', request: error.requestId }),
)

const server = app.listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
// Upgrades do not pass through Express: they go by these paths.
attach(server, { '/chat': chat })
// What is no request at all, and upgrades elsewhere, which the app answers as it likes.
attach(server, own, { auditOnly: true })
console.log(`listening on http://127.0.0.1:${server.address().port}`)

process.on('SIGTERM', async () => {
  server.close()
  await Promise.all([orders, payments, chat, own].map((balancer) => balancer.close()))
  // The trail is closed by who made it, after the balancers.
  await audit.close()
})
