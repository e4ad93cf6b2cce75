// Tunnels in great number: nothing that they carry is lost, and nothing is left of those that were broken off.
import { createServer as createHttpServer, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createServer } from '../../../src/adapters/node.ts'
import { createBalancer } from '../../../src/balancer.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { resetSocket } from '../../../src/proxy/answer.ts'
import { below, seededRandom } from '../../../src/random.ts'
import { closeAfterTest, listen } from '../../support/closing.ts'
import { edge } from '../../support/edge.ts'
import { scaled } from '../../support/scale.ts'
import { asking, switched, switching } from '../../support/switching.ts'
import { until } from '../../support/until.ts'

async function echo(): Promise<string> {
  const server = createHttpServer()
  closeAfterTest(server)
  new WebSocketServer({ server }).on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  )
  return `http://127.0.0.1:${await listen(server)}`
}

/** What a frame takes besides its payload (RFC 6455 section 5.2), without the mask that a client adds. */
const frame = (length: number): number => length + (length < 126 ? 2 : length < 65_536 ? 4 : 10)

const tunnels = scaled(1000, 200)

it(`${tunnels} tunnels at once lose nothing: every message comes back, in order, and is in the record`, async () => {
  const messages = 20
  const e = await edge([await echo(), await echo(), await echo()], { strategy: 'least-connections' })
  const random = seededRandom(7)
  const clients = Array.from({ length: tunnels }, (_, i) => {
    const sent = Array.from({ length: messages }, (_, n) =>
      Buffer.alloc(4 + below(random, n === 0 ? 100_000 : 1000), i + n),
    )
    const got: Buffer[] = []
    const socket = new WebSocket(`ws://127.0.0.1:${e.port}/${i}`, { perMessageDeflate: false })
    onTestFinished(() => socket.terminate())
    socket.on('message', (data: Buffer) => void got.push(data))
    const closed = new Promise<number>((resolve) => socket.on('close', resolve))
    const open = new Promise((resolve, reject) => socket.on('open', resolve).on('error', reject))
    return { socket, sent, got, closed, open }
  })
  await Promise.all(clients.map(({ open }) => open))
  const { tunnels: all, backends } = e.balancer.snapshot()
  expect(all).toBe(tunnels)
  const loads = backends.map(({ inFlight }) => inFlight)
  expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
  for (let n = 0; n < messages; n++) for (const { socket, sent } of clients) socket.send(sent[n]!)
  await until(() => clients.every(({ got }) => got.length >= messages))
  for (const { sent, got } of clients) expect(Buffer.concat(got).equals(Buffer.concat(sent))).toBe(true)
  for (const { socket } of clients) socket.close(1000)
  expect(new Set(await Promise.all(clients.map(({ closed }) => closed)))).toEqual(new Set([1000]))
  const completed = await e.completed(tunnels)
  const recorded = new Map(completed.map(({ url, lb }) => [url.path, lb]))
  clients.forEach(({ sent }, i) => {
    // The last frame is that of the close.
    const bytes = sent.reduce((sum, { length }) => sum + frame(length), frame(2))
    expect(recorded.get(`/${i}`)).toMatchObject({
      result: 'ok',
      tunnel: { protocol: 'websocket', received_bytes: bytes + 4 * (messages + 1), sent_bytes: bytes },
    })
  })
})

/** The system's clock, and how many of its timers wait. */
function counting(): { clock: Clock; waiting: () => number } {
  const waiting = new Set<object>()
  const after: Clock['after'] = (ms, fn, hold) => {
    const one = {}
    waiting.add(one)
    const timer = systemClock.after(
      ms,
      () => {
        waiting.delete(one)
        fn()
      },
      hold,
    )
    return {
      cancel() {
        waiting.delete(one)
        timer.cancel()
      },
    }
  }
  return { clock: { ...systemClock, after }, waiting: () => waiting.size }
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

async function heap(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

const connections = (server: Server): Promise<number> =>
  new Promise((resolve, reject) => server.getConnections((error, n) => (error === null ? resolve(n) : reject(error))))

const aborted = scaled(2000, 400)

it(`${aborted} upgrades that are broken off at any moment leave no socket, no timer and no memory`, async () => {
  const random = seededRandom(3)
  /** How a client leaves whom nobody answers, by its id. */
  const givesUp = new Map<string, () => void>()
  const backend = await switching({
    answer(socket, head) {
      const fate = below(random, 7)
      if (fate === 0) givesUp.get(/x-id: (\d+)/.exec(head)![1]!)?.()
      else if (fate === 1) resetSocket(socket)
      else if (fate === 2) socket.end('HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno')
      else if (fate === 3) socket.write(switched('other'))
      else socket.write(switched('chat'))
      return fate > 3
    },
    after(socket, early) {
      const fate = below(random, 4)
      if (fate === 0) return void setImmediate(() => resetSocket(socket))
      if (fate === 1) return void socket.end('bye')
      if (fate === 2) socket.write(Buffer.alloc(300_000))
      socket.write(early)
      socket.pipe(socket)
    },
  })
  const { clock, waiting } = counting()
  const balancer = createBalancer({
    backends: [backend.url],
    health: { passive: false },
    audit: { sinks: [] },
    clock,
  })
  onTestFinished(() => void balancer.close({ deadlineMs: 0 }))
  const results: Record<string, number> = {}
  let open = 0
  balancer.audit.on('tunnel.opened', () => void open++)
  balancer.audit.on('request.completed', ({ lb }) => {
    results[lb.result] = (results[lb.result] ?? 0) + 1
  })
  const server = createServer(balancer)
  closeAfterTest(server)
  const port = await listen(server)
  const leave = (socket: Socket): void => {
    const how = below(random, 3)
    if (how === 0) resetSocket(socket)
    else if (how === 1) socket.destroy()
    else socket.end()
  }
  let next = 0
  const one = (): Promise<void> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
      const phase = below(random, 6)
      const id = String(next++)
      const head = asking('chat', `x-id: ${id}`)
      givesUp.set(id, () => leave(socket))
      socket.on('error', () => undefined)
      socket.on('close', () => {
        givesUp.delete(id)
        resolve()
      })
      socket.on('end', () => socket.end())
      socket.on('data', () => {
        if (phase === 3) leave(socket)
        else if (phase === 4) socket.write('more', () => leave(socket))
        else if (phase === 5) setImmediate(() => leave(socket))
      })
      socket.on('connect', () => {
        if (phase === 0) socket.write(head.slice(0, below(random, head.length)), () => leave(socket))
        else if (phase === 1) socket.write(head, () => leave(socket))
        else if (phase === 2) socket.write(`${head}early`, () => setImmediate(() => leave(socket)))
        else socket.write(head)
      })
    })
  const run = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50) await Promise.all(Array.from({ length: 50 }, one))
    await until(() => balancer.snapshot().inFlight === 0 && backend.sockets.size === 0)
    while ((await connections(server)) > 0) await new Promise((resolve) => setImmediate(resolve))
  }
  const timers = waiting()
  await run(400)
  backend.heads.length = 0
  const before = await heap()
  await run(aborted)
  backend.heads.length = 0
  const growth = (await heap()) - before
  console.log(`heap growth ${Math.round(growth / 1024)} KiB; ${open} tunnels were opened; ${JSON.stringify(results)}`)
  expect(balancer.snapshot()).toMatchObject({ inFlight: 0, tunnels: 0, waiting: 0, backends: [{ inFlight: 0 }] })
  // Heads that are not whole are denials, which are told in numbers after a while.
  await until(() => waiting() <= timers)
  expect(open).toBeGreaterThan(aborted / 10)
  const all = ['backend-reset', 'client-gone', 'ok', 'response-invalid']
  expect(Object.keys(results)).toEqual(expect.arrayContaining(all))
  expect(growth).toBeLessThan(5_000_000)
})
