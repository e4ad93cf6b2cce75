// A balancer of the built package in a process of its own, to be killed: `<dir> <instance> <durability> <backend>`.
// It prints its port, what it has found at its start, and at each look up to which line of the traffic log it has come, and
// whether a call to the file system is under way. Anything on its input closes it.
import { once } from 'node:events'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'

// Longer than lines wait for their write: what was there at one look is written by the next, or on its way.
const lookMs = 50

const [dir, instance, durability, backend, size] = process.argv.slice(2)
const small = size === 'small'
const say = (word, facts) => process.stdout.write(`${word} ${JSON.stringify(facts)}\n`)
const balancer = createBalancer({
  name: 'killed',
  backends: [backend],
  // Failures are part of the load.
  health: { passive: false },
  audit: {
    sinks: [
      fileSink({
        dir,
        instance,
        durability,
        ...(small && { segment: { maxBytes: 65_536 }, checkpoint: { lines: 150 } }),
      }),
    ],
    whenUnavailable: durability === 'group' ? 'refuse' : 'drop',
  },
})
for (const name of ['audit.opened', 'audit.recovered']) balancer.audit.on(name, (event) => say('heard', event))
let last = -1
balancer.audit.on('request.completed', ({ audit }) => {
  last = audit.index
})
await balancer.ready()
if (durability === 'interval') {
  const fileCall = /^(FSReq|FileHandle|CloseReq)/
  setInterval(
    () => say('look', { last, quiet: !process.getActiveResourcesInfo().some((one) => fileCall.test(one)) }),
    lookMs,
  )
}
const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')
say('listening', server.address().port)
await once(process.stdin, 'data')
server.close()
server.closeAllConnections()
say('closed', await balancer.close())
process.exit()
