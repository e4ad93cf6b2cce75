// An app with routes of its own beside those of a balancer: one log has them all.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createAudit, createBalancer, fileSink } from 'auditlb'
import { attach, nodeHandler } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const audit = createAudit({ service: 'shop', sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] })
await audit.ready()

const orders = createBalancer({ name: 'orders', backends: await startBackends('o1', 'o2'), audit })
// No backends: it only records what the app answers by itself.
const shop = createBalancer({ name: 'shop', backends: [], audit })

const forward = nodeHandler(orders)
const server = createServer((request, response) => {
  if (request.url.startsWith('/orders')) forward(request, response)
  else response.setHeader('content-type', 'text/plain').end('served by the app itself')
})
attach(server, shop, { auditOnly: true, route: (request) => (request.url === '/' ? '/' : undefined) })

server.listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
console.log(`listening on http://127.0.0.1:${server.address().port}`)

process.on('SIGTERM', async () => {
  server.close()
  await Promise.all([orders.close(), shop.close()])
  await audit.close()
})
