// A canary that keeps its clients: 5 of 100 go to the new version, and whoever has seen it stays with it.
import { once } from 'node:events'
import { createBalancer, seededRandom } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const [old1, old2, next1] = await startBackends('old-1', 'old-2', 'new-1')
const balancer = createBalancer({
  backends: [
    { ...old1, group: 'stable' },
    { ...old2, group: 'stable' },
    { ...next1, group: 'canary' },
  ],
  split: { stable: 95, canary: 5 },
  affinity: { cookie: { secret: process.env.LB_SECRET ?? 'an example, known to everybody' } },
  // So that this program says the same each time. A service leaves it out.
  random: seededRandom(4),
})

const verdicts = {}
balancer.audit.on('request.completed', ({ lb }) => {
  const { group = 'as before', sticky } = lb.decision
  verdicts[`${sticky}, ${group}`] = (verdicts[`${sticky}, ${group}`] ?? 0) + 1
})

const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')
const url = `http://127.0.0.1:${server.address().port}/`

/** One request of a client; it keeps what cookie it gets, as a browser does. */
async function visit(client) {
  const headers = client.cookie === undefined ? {} : { cookie: client.cookie }
  const response = await fetch(url, { headers: { connection: 'close', ...headers } })
  client.cookie = response.headers.getSetCookie()[0]?.split(';')[0] ?? client.cookie
  client.seen.push((await response.json()).backend)
}

const clients = Array.from({ length: 100 }, () => ({ seen: [] }))
for (let visits = 0; visits < 3; visits++) for (const client of clients) await visit(client)

const served = {}
for (const { seen } of clients) {
  const names = [...new Set(seen)].join(', then ')
  served[names] = (served[names] ?? 0) + 1
}
for (const [names, n] of Object.entries(served).sort()) console.log(`${n} clients were served by ${names}`)

server.close()
await balancer.close()
for (const [verdict, n] of Object.entries(verdicts).sort()) console.log(`${n} requests: ${verdict}`)
