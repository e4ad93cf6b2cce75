// Aborts so many requests, each in another phase, and says what is left of them: sockets, timers, heap.
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { createServer } from '../../src/adapters/node.ts'
import { createBalancer } from '../../src/balancer.ts'
import { below, seededRandom } from '../../src/random.ts'
import { countingClock } from './counting-clock.ts'
import { hopBy, type transports } from './transports.ts'

const count = Number(process.argv[2])
const transport = process.argv[3] as (typeof transports)[number]
const atOnce = 50
const random = seededRandom(7)
const clock = countingClock()
const collect = (globalThis as { gc?: () => void }).gc!

// Answers at once, late, in parts, or not at all: an abort finds each phase.
const backend = createHttpServer((request, response) => {
  request.on('error', () => undefined)
  request.resume()
  const fate = request.url === '/served' ? 0 : below(random, 4)
  if (fate === 0) response.end('ok')
  else if (fate === 1) response.write('some')
  else if (fate === 2) setTimeout(() => response.end('late'), below(random, 10))
}).listen(0, '127.0.0.1')
await once(backend, 'listening')
const { port: backendPort } = backend.address() as AddressInfo

const balancer = createBalancer({
  backends: [{ id: 'one', url: `http://127.0.0.1:${backendPort}` }],
  ...hopBy(transport),
  clock,
  health: { passive: false },
  connections: { keepAliveMs: 50 },
  audit: { sinks: [] },
})
let records = 0
const results: Record<string, number> = {}
balancer.audit.on('request.completed', ({ lb }) => {
  records++
  results[lb.result] = (results[lb.result] ?? 0) + 1
})
let reached = 0
const server = createServer(balancer)
server.prependListener('request', () => void reached++)
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo

const requests = [
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nsome',
  'PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n',
  `GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n`,
]

const abort = (): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.on('close', () => resolve())
    const leave = (): void => void (below(random, 2) === 0 ? socket.destroy() : socket.resetAndDestroy())
    socket.on('connect', () => {
      socket.write(requests[below(random, requests.length)]!)
      const phase = below(random, 3)
      if (phase === 0) setImmediate(leave)
      else if (phase === 1) setTimeout(leave, below(random, 8))
      else {
        socket.on('data', leave)
        setTimeout(leave, 12)
      }
    })
  })

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length

const settled = async (): Promise<void> => {
  const deadline = Date.now() + 20_000
  while ((balancer.snapshot().inFlight > 0 || sockets() > 0 || clock.timers > 1) && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 20))
}

const round = async (times: number): Promise<void> => {
  let left = times
  const worker = async (): Promise<void> => {
    while (left-- > 0) await abort()
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await settled()
}

const heap = async (): Promise<number> => {
  for (let i = 0; i < 4; i++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return process.memoryUsage().heapUsed
}

// One client waits for its answer: the others leave when chance says so.
const patient = connect(port, '127.0.0.1').resume()
patient.write('GET /served HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
await once(patient, 'close')

// What is allocated once, whatever comes, does not count.
await round(1000)
const before = await heap()
await round(count)
const grown = (await heap()) - before
const left = { sockets: sockets(), timers: clock.timers, inFlight: balancer.snapshot().inFlight }
process.stdout.write(`report ${JSON.stringify({ ...left, grown, reached, records, results })}\n`)
process.exit(0)
