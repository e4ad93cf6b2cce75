// A balancer in a container without a disk: its log is what the container writes, lines and signed checkpoints.
// node container.mjs | auditlb verify -
// With a key that outlives the container: LOG_KEY=log.key node container.mjs | auditlb verify - --vkey log.vkey
import { once } from 'node:events'
import { createBalancer, stdoutSink } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const balancer = createBalancer({
  name: 'edge',
  backends: await startBackends('b1', 'b2'),
  // Who holds `log.vkey` beforehand can tell this log from one that somebody else has signed: see docs/sinks.md.
  // No line is longer than a container's runtime takes whole; longer ones come in chunks, which `verify` puts together.
  audit: {
    sinks: [stdoutSink({ format: 'json' })],
    instance: 'web',
    key: process.env.LOG_KEY === undefined ? undefined : { file: process.env.LOG_KEY },
  },
})
await balancer.ready()

const server = createServer(balancer).listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
// Standard output is the log: what is said to people goes elsewhere.
console.error(`listening on http://127.0.0.1:${server.address().port}`)

// The last lines and checkpoints are written before the process ends.
process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})
