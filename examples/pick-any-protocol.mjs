// Leases: the balancer picks and records, and you make the hop yourself, here over raw TCP.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { createBalancer, stdoutSink } from 'auditlb'

/** A backend that speaks no HTTP: it sends back what it gets, with its name in front. */
async function startEcho(id) {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    socket.on('data', (data) => socket.write(`${id}: ${data}`))
    socket.on('end', () => socket.end())
  })
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  // The URL says where it is; what is spoken there is up to you.
  return { id, url: `http://127.0.0.1:${server.address().port}` }
}

const balancer = createBalancer({
  name: 'echo',
  backends: [await startEcho('b1'), await startEcho('b2')],
  strategy: 'round-robin',
  audit: { sinks: [stdoutSink()] },
})

const server = createServer({ allowHalfOpen: true }, (client) => {
  const lease = balancer.pick({ client: { address: client.remoteAddress } })
  // With nobody eligible there is no backend, and the decision says why.
  if (lease.backend === undefined) return client.destroy()
  const { address: host, port } = lease.backend
  const hop = connect({ host, port, allowHalfOpen: true })
  client.pipe(hop).pipe(client)
  // The lease is given back exactly once; a second call is ignored.
  hop.on('error', ({ code }) => {
    lease.done({ result: code === 'ECONNREFUSED' ? 'connect-refused' : 'backend-reset' })
    client.destroy()
  })
  client.on('error', () => {
    lease.done({ result: 'client-gone' })
    hop.destroy()
  })
  hop.on('close', () => lease.done({ result: 'ok' }))
})
server.listen(process.env.PORT ?? 0, '127.0.0.1')
await once(server, 'listening')
console.log(`listening on tcp://127.0.0.1:${server.address().port}`)

process.on('SIGTERM', async () => {
  server.close()
  await balancer.close()
})
