// An Express app that serves some paths itself, and hands everything below /api to a balancer.
import { once } from 'node:events'
import { createBalancer, fileSink } from 'auditlb'
import { expressBalancer } from 'auditlb/express'
import { attach } from 'auditlb/node'
import express from 'express'
import { startBackends } from './backends.mjs'

const balancer = createBalancer({
  name: 'api',
  backends: await startBackends('b1', 'b2'),
  // Upgrades do not pass through Express, and so not by what it refuses below: here they are requests as any other.
  upgrades: false,
  audit: { sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] },
})
await balancer.ready()

const app = express()
app.get('/', (_request, response) => response.send('served by the app itself'))
// A parser before the balancer does no harm: the body that it has read is written anew.
app.use(express.json())
// A denial of the app's own goes into the same log.
app.use('/api/admin', (request, response) => {
  balancer.audit.record('access.denied', { rule: 'admin-only', client: { address: request.ip } })
  response.sendStatus(403)
})
// Backends get the path without /api.
app.use('/api', expressBalancer(balancer))

const server = app.listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
// Connections that never become a request are recorded too.
attach(server, balancer)
console.log(`listening on http://127.0.0.1:${server.address().port}`)

process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})
