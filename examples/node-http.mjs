// A balancer in front of two backends with nothing but Node: the least that a service needs.
import { once } from 'node:events'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const balancer = createBalancer({
  name: 'edge',
  backends: await startBackends('b1', 'b2'),
  strategy: 'round-robin',
  audit: { sinks: [fileSink({ dir: process.env.AUDIT_DIR ?? './audit' })] },
})
await balancer.ready()

const server = createServer(balancer).listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
console.log(`listening on http://127.0.0.1:${server.address().port}`)

// What is in flight finishes, and the log gets its last checkpoint, before the process ends.
process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})
