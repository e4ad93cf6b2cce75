// Backends that come and go: a file that another program keeps up to date, and a source of your own.
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBalancer } from 'auditlb'
import { createServer } from 'auditlb/node'
import { startBackends } from './backends.mjs'

const [b1, b2, b3] = await startBackends('b1', 'b2', 'b3')
const folder = mkdtempSync(join(tmpdir(), 'auditlb-'))
const path = join(folder, 'backends.json')

// A new file in the place of the old one: a reader never meets half of it.
function publish(backends) {
  writeFileSync(`${path}.new`, JSON.stringify({ backends }))
  renameSync(`${path}.new`, path)
}

// Each value is the whole set. A registry would be asked, or listened to, until the signal is aborted.
async function* registry(signal) {
  yield [b3]
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
}

publish([b1])
const balancer = createBalancer({
  backends: [],
  discovery: [
    { type: 'file', path },
    { type: 'iterable', from: registry, name: 'registry' },
  ],
})

balancer.audit.on('topology.changed', ({ backend, discovery }) => {
  console.log(`${discovery.change}: ${backend.id} from ${discovery.source}, ${discovery.pool_size} in the pool`)
})
balancer.audit.on('discovery.failed', ({ discovery }) => {
  const places = discovery.problems?.map((problem) => problem.path).join(', ')
  console.log(`failed: ${discovery.source}, ${discovery.cause} at ${places}, ${discovery.kept} kept`)
})
const heard = (name) => new Promise((resolve) => balancer.audit.on(name, resolve))

await balancer.ready()
// The balancer lives in a service: by itself it does not keep a process alive.
const server = createServer(balancer).listen(0, '127.0.0.1')
await once(server, 'listening')

const joined = heard('topology.changed')
publish([b1, b2])
await joined

// What is not valid is told, and changes nothing.
const failed = heard('discovery.failed')
publish([{ ...b1, wieght: 5 }])
await failed

const left = heard('topology.changed')
publish([b2])
await left

console.log(
  balancer
    .snapshot()
    .backends.map(({ id }) => id)
    .join(', '),
)
const response = await fetch(`http://127.0.0.1:${server.address().port}/`, { headers: { connection: 'close' } })
console.log(`answered with ${response.status}`)
server.close()
await balancer.close()
rmSync(folder, { recursive: true })
