// WebSockets through the balancer, with the clients and the servers of `ws`.
import { createServer, type IncomingMessage } from 'node:http'
import { expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge } from '../support/edge.ts'
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
