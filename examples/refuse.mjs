// Nothing is forwarded that was not recorded first, and no response ends before its line is on disk: `refuse` with `group`.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBalancer, fileSink, queryLog } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const dir = process.env.AUDIT_DIR ?? mkdtempSync(join(tmpdir(), 'auditlb-'))
const backends = await startBackends('b1', 'b2')

const balancer = createBalancer({
  name: 'payments',
  backends,
  audit: { sinks: [fileSink({ dir, durability: 'group' })], whenUnavailable: 'refuse' },
})
await balancer.ready()
const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')

const { status } = await fetch(`http://127.0.0.1:${server.address().port}/transfer`)
// The response is complete, and so both lines are on disk: that it came, from before it was forwarded, and how it ended.
const names = []
for await (const { event_name } of queryLog(dir, { type: 'request.*' })) names.push(event_name)
console.log(status, names.join(' '))

server.close()
server.closeAllConnections()
await balancer.close()
if (process.env.AUDIT_DIR === undefined) rmSync(dir, { recursive: true })
