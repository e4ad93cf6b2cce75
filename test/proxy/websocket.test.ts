// WebSockets through the balancer, with the clients and the servers of `ws`.
import { createServer, type IncomingMessage } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  attach,
  createServer as createBalancerServer,
  type EncryptedHttp2Options,
  nodeHandler,
} from '../../src/adapters/node.ts'
import { answering, refusing } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'
import { authority, selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

interface Sockets {
  readonly url: string
  readonly clients: ReadonlySet<WebSocket>
  readonly requests: IncomingMessage[]
}

/** Sends every message back as it is. */
async function echo(options: ConstructorParameters<typeof WebSocketServer>[0] = {}): Promise<Sockets> {
  const server = createServer()
  closeAfterTest(server)
  const requests: IncomingMessage[] = []
  const sockets = new WebSocketServer({ server, ...options })
  sockets.on('connection', (socket, request) => {
    requests.push(request)
    socket.on('error', () => undefined)
    socket.on('message', (data, binary) => socket.send(data, { binary }))
  })
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, clients: sockets.clients, requests }
}

type Message = string | Buffer

interface Client {
  readonly socket: WebSocket
  readonly messages: Message[]
  readonly closed: Promise<{ code: number; reason: string }>
}

async function client(
  port: number,
  ...given: [protocols?: string[], options?: WebSocket.ClientOptions]
): Promise<Client> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/chat?room=1`, ...given)
  onTestFinished(() => socket.terminate())
  const messages: Message[] = []
  socket.on('message', (data: Buffer, binary) => void messages.push(binary ? data : data.toString()))
  const closed = new Promise<{ code: number; reason: string }>((resolve) =>
    socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })),
  )
  await new Promise<void>((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return { socket, messages, closed }
}

it('carries texts, binaries, fragments and 10 MB, each as it was', async () => {
  const { port, balancer, one } = await edge([await echo()])
  const { socket, messages, closed } = await client(port)
  const large = Buffer.alloc(10_000_000, 'x').fill('y', 9_999_990)
  const sent: Message[] = ['hello', Buffer.from([0, 1, 255]), '', 'ünï', large]
  for (const message of sent) socket.send(message)
  for (const [i, part] of ['in ', 'three ', 'parts'].entries()) socket.send(part, { fin: i === 2 })
  await until(() => messages.length === sent.length + 1)
  expect(messages.slice(0, 4)).toEqual(sent.slice(0, 4))
  expect((messages[4] as Buffer).equals(large)).toBe(true)
  expect(messages[5]).toBe('in three parts')
  expect(balancer.snapshot()).toMatchObject({ tunnels: 1, inFlight: 1, backends: [{ inFlight: 1 }] })
  socket.close(4001, 'done')
  expect(await closed).toEqual({ code: 4001, reason: 'done' })
  const { lb, http, outcome } = await one()
  expect({ http: http.response.status_code, outcome, result: lb.result }).toEqual({
    http: 101,
    outcome: 'success',
    result: 'ok',
  })
  expect(lb.attempts).toMatchObject([{ result: 'ok', status_code: 101 }])
  expect(lb.tunnel).toMatchObject({ protocol: 'websocket' })
  expect(lb.tunnel!.received_bytes).toBeGreaterThan(10_000_000)
  expect(lb.tunnel!.sent_bytes).toBeGreaterThan(10_000_000)
  expect(balancer.snapshot().tunnels).toBe(0)
})

it('carries pings and pongs, and the close codes of either side', async () => {
  const { url, clients } = await echo()
  const e = await edge([url])
  const { socket, closed } = await client(e.port)
  const pong = new Promise<string>((resolve) => socket.once('pong', (data) => resolve(data.toString())))
  socket.ping('are you there')
  expect(await pong).toBe('are you there')
  const pinged = new Promise<string>((resolve) => socket.once('ping', (data) => resolve(data.toString())))
  for (const one of clients) one.ping('and you')
  expect(await pinged).toBe('and you')
  for (const one of clients) one.close(1012, 'restart')
  expect(await closed).toEqual({ code: 1012, reason: 'restart' })
  expect((await e.one()).lb.result).toBe('ok')
})

it('leaves subprotocols and compression to client and backend', async () => {
  const backend = await echo({ perMessageDeflate: { threshold: 0 }, handleProtocols: (asked) => [...asked].at(-1)! })
  const e = await edge([backend])
  const { socket, messages } = await client(e.port, ['chat.v1', 'chat.v2'], { perMessageDeflate: { threshold: 0 } })
  expect([socket.protocol, socket.extensions]).toEqual(['chat.v2', 'permessage-deflate'])
  const text = 'again and '.repeat(100_000)
  socket.send(text)
  await until(() => messages.length === 1)
  expect(messages[0]).toBe(text)
  socket.close()
  const { lb } = await e.one()
  // Sent as it came: nothing is unpacked on the way.
  expect(lb.tunnel!.received_bytes).toBeLessThan(100_000)
  expect(backend.requests[0]!.headers).toMatchObject({
    'x-forwarded-for': '127.0.0.1',
    'x-request-id': lb.request_id,
    host: `127.0.0.1:${e.port}`,
  })
  expect(backend.requests[0]!.url).toBe('/chat?room=1')
})

it('spreads over backends, and tries the next where one is down', async () => {
  const backends = [await echo(), await echo(), await refusing()]
  const e = await edge(backends, { strategy: 'least-connections', health: { passive: false } })
  const all = await Promise.all(Array.from({ length: 10 }, () => client(e.port)))
  expect(e.balancer.snapshot().backends.map(({ inFlight }) => inFlight)).toEqual([5, 5, 0])
  for (const { socket } of all) socket.close()
  await e.completed(10)
})

it('is refused by a backend as the backend says it', async () => {
  const backend = await echo({ verifyClient: (_info, done) => done(false, 401, 'Not You', { 'X-Why': 'no' }) })
  const e = await edge([backend])
  const socket = new WebSocket(`ws://127.0.0.1:${e.port}/`)
  const answer = await new Promise<IncomingMessage>((resolve) => {
    socket.on('error', () => undefined)
    socket.on('unexpected-response', (_request, response) => resolve(response))
  })
  expect([answer.statusCode, answer.headers['x-why']]).toEqual([401, 'no'])
  answer.resume()
  expect((await e.one()).lb).toMatchObject({ result: 'ok', attempts: [{ status_code: 401 }] })
})

it('lets a reader be slow: the writer is stopped, and little is kept between them', async () => {
  const server = createServer()
  closeAfterTest(server)
  const sockets = new WebSocketServer({ server })
  const chunk = Buffer.alloc(65_536)
  let written = 0
  sockets.on('connection', (socket) => {
    const more = (): void => {
      if (written >= 100_000_000) return socket.close()
      written += chunk.length
      socket.send(chunk, (error) => {
        if (error === undefined || error === null) more()
      })
    }
    more()
  })
  const e = await edge([`http://127.0.0.1:${await listen(server)}`])
  const { socket, closed } = await client(e.port)
  let read = 0
  socket.on('message', (data: Buffer) => {
    read += data.length
  })
  socket.pause()
  // It stands still once every buffer on the way is full: others go on meanwhile.
  const other = await edge([await answering()])
  for (let before = -1; before !== written || written === 0; ) {
    before = written
    for (let i = 0; i < 50; i++) await send(other.port)
  }
  const between = written - read
  expect(between).toBeLessThan(30_000_000)
  socket.resume()
  await closed
  expect(read).toBe(written)
  expect((await e.one()).lb.tunnel!.sent_bytes).toBeGreaterThan(written)
})

it('comes in over TLS', async () => {
  const record = recorded({ backends: [await echo()] })
  const server = attach(createSecureServer(selfSigned(), nodeHandler(record.balancer)), record.balancer)
  closeAfterTest(server)
  const socket = new WebSocket(`wss://127.0.0.1:${await listen(server)}/`, { rejectUnauthorized: false })
  onTestFinished(() => socket.terminate())
  const heard = new Promise<string>((resolve) => socket.on('message', (data) => resolve(data.toString())))
  socket.on('open', () => socket.send('hello'))
  expect(await heard).toBe('hello')
  socket.close()
  expect((await record.one()).lb).toMatchObject({ result: 'ok', tunnel: { protocol: 'websocket' } })
})

it.each([
  ['HTTPS', {}],
  ['HTTP/2 that speaks HTTP/1.1 too', { http2: true }],
] as const)('comes in over TLS at a server of %s, and goes on over TLS', async (_, kind) => {
  const ca = authority()
  onTestFinished(() => ca.remove())
  const tls = ca.issue('IP:127.0.0.1')
  const backend = createSecureServer(tls)
  closeAfterTest(backend)
  new WebSocketServer({ server: backend }).on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  )
  const record = recorded({ backends: [`https://127.0.0.1:${await listen(backend)}`], tls: { ca: ca.cert } })
  const options = { tls, ...kind } as EncryptedHttp2Options
  const server = createBalancerServer(record.balancer, options)
  closeAfterTest(server)
  const socket = new WebSocket(`wss://127.0.0.1:${await listen(server)}/`, { ca: ca.cert })
  onTestFinished(() => socket.terminate())
  const heard = new Promise<Buffer>((resolve) => socket.on('message', resolve))
  const sent = Buffer.alloc(1_000_000, 'x')
  socket.on('open', () => socket.send(sent))
  expect((await heard).equals(sent)).toBe(true)
  socket.close()
  expect((await record.one()).lb).toMatchObject({ result: 'ok', tunnel: { protocol: 'websocket' } })
})
