// A service on four workers, each a balancer of the built package on one folder. Tells its parent of each worker that is ready or gone,
// replaces one that dies, and reloads when it is told to: the next four serve before the last four leave.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createBalancer, fileSink } from 'auditlb'
import { createServer } from 'auditlb/node'

const [dir, backend] = process.argv.slice(2)
const workers = 4

if (cluster.isPrimary) {
  let serving = []
  const begin = async () => {
    const worker = cluster.fork()
    serving.push(worker)
    worker.once('exit', (code, signal) => {
      process.send({ gone: { pid: worker.process.pid, code, signal } })
      const place = serving.indexOf(worker)
      if (place < 0) return
      serving.splice(place, 1)
      void begin()
    })
    const [ready] = await once(worker, 'message')
    process.send({ ready: { pid: worker.process.pid, ...ready } })
  }
  const beginAll = () => Promise.all(Array.from({ length: workers }, begin))
  process.on('message', async (order) => {
    const old = serving
    serving = []
    if (order === 'reload') await beginAll()
    const left = Promise.all(old.map((worker) => once(worker, 'exit')))
    for (const worker of old) worker.send('leave')
    await left
    if (order === 'close') process.disconnect()
  })
  await beginAll()
} else {
  const balancer = createBalancer({
    name: 'shop',
    backends: [backend],
    audit: {
      // Nothing is signed before the end: whoever takes over a slot has something to recover.
      sinks: [fileSink({ dir, durability: 'group', checkpoint: { intervalMs: 3_600_000, lines: 1_000_000 } })],
    },
  })
  const opened = new Promise((resolve) => balancer.audit.on('audit.opened', resolve))
  await balancer.ready()
  const { audit, service } = await opened
  const server = createServer(balancer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.once('message', async () => {
    server.close()
    await balancer.close()
    process.disconnect()
  })
  process.send({ instance: service.instance.id, boot: audit.boot_id, port: server.address().port })
}
