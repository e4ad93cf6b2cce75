// WebSockets through a balancer, next to an app of its own: two backends, three clients, and what the log says of them.
// `ws` serves for the backends and the clients; the balancer needs none of it.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createBalancer } from 'auditlb'
import { attach } from 'auditlb/node'
import { WebSocket } from 'ws'
import { startBackends } from './backends.mjs'

const balancer = createBalancer({
  name: 'chat',
  backends: await startBackends('b1', 'b2'),
  strategy: 'least-connections',
  upgrades: { protocols: ['websocket'], idleMs: 60_000 },
  audit: { sinks: [] },
})
balancer.audit.on('tunnel.opened', ({ lb }) => console.log(`opened: ${lb.protocol} to ${lb.backend}`))
balancer.audit.on('request.completed', ({ lb, url }) => {
  const { closed_by, received_bytes, sent_bytes } = lb.tunnel
  console.log(`closed: ${url.original_path} by the ${closed_by}, ${received_bytes} bytes in, ${sent_bytes} bytes out`)
})

// The app serves the rest by itself.
const server = attach(
  createServer((_request, response) => response.end('served by the app itself')),
  { '/chat': balancer },
)
await once(server.listen(0, '127.0.0.1'), 'listening')
const { port } = server.address()

const clients = []
for (const name of ['ann', 'bob', 'cem']) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat/${name}`)
  await once(socket, 'open')
  clients.push({ name, socket })
}
console.log(
  `${balancer.snapshot().tunnels} tunnels: ${balancer
    .snapshot()
    .backends.map((one) => one.inFlight)
    .sort()}`,
)
for (const { name, socket } of clients) {
  socket.send(name)
  const [heard] = await once(socket, 'message')
  console.log(`${heard}`)
}
for (const { socket } of clients) socket.close()

// Waits for the tunnels that are open.
await balancer.close()
server.close()
