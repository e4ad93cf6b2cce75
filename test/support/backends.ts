// Backends for tests, over real sockets: those that behave, and those that do everything wrong.
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server, type Http2Server } from 'node:http2'
import { connect, createServer as createNetServer, type Socket } from 'node:net'
import { closeAfterTest, listen } from './closing.ts'

export interface TestBackend {
  readonly url: string
  readonly port: number
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>
  /** Connections so far. */
  readonly accepted: () => number
}

/** A request as a backend saw it, its body still to come where the test reads that by itself. */
interface Seen {
  readonly method: string
  readonly url: string
  readonly rawHeaders: readonly string[]
  body: string
}

export interface SeeingBackend extends TestBackend {
  readonly seen: Seen[]
}

/** A backend of Node's own server. */
export async function httpBackend(listener: RequestListener): Promise<TestBackend> {
  const server = createServer({ keepAliveTimeout: 60_000 }, listener)
  let accepted = 0
  server.on('connection', () => accepted++)
  const sockets = closeAfterTest(server)
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, port, sockets, accepted: () => accepted }
}

/** Reads every request to its end, keeps it, and answers as it is told: by default 200 and `ok`. */
export async function answering(
  answer: (response: ServerResponse, request: IncomingMessage, body: Buffer) => void = (response) => response.end('ok'),
): Promise<SeeingBackend> {
  const seen: Seen[] = []
  const backend = await httpBackend((request, response) => {
    const { method = '', url = '', rawHeaders } = request
    const one: Seen = { method, url, rawHeaders, body: '' }
    seen.push(one)
    const chunks: Buffer[] = []
    request.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      one.body = body.toString('latin1')
      answer(response, request, body)
    })
  })
  return { ...backend, seen }
}

/** Sends every body back as it comes. */
export const echoing = (): Promise<TestBackend> => httpBackend((request, response) => void request.pipe(response))

let nextRefusing = 1

/** A port of the loopback at which nobody listens, and which no other test can be given: those are above 1,023. */
export async function refusing(): Promise<{ url: string; port: number }> {
  for (;;) {
    const port = nextRefusing++
    if (port !== 80 && (await refuses(port))) return { url: `http://127.0.0.1:${port}`, port }
  }
}

const refuses = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => resolve(false))
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
    socket.on('connect', () => socket.destroy())
  })

export interface RawBackend extends TestBackend {
  /** What came in on each connection. */
  readonly received: string[]
}

/** A backend that decides over each byte: it is called once for each request head on a connection. */
export async function rawBackend(onHead: (socket: Socket, head: string) => void): Promise<RawBackend> {
  const received: string[] = []
  // A client that half-closes is a case that a test may want to see: nothing is ended by itself.
  const server = createNetServer({ allowHalfOpen: true }, (socket) => {
    const place = received.push('') - 1
    let from = 0
    socket.setEncoding('latin1')
    socket.on('data', (text: string) => {
      received[place] += text
      for (let end = received[place]!.indexOf('\r\n\r\n', from); end !== -1; ) {
        const head = received[place]!.slice(from, end + 4)
        from = end + 4
        onHead(socket, head)
        end = received[place]!.indexOf('\r\n\r\n', from)
      }
    })
    socket.on('end', () => socket.end())
  })
  const sockets = closeAfterTest(server)
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, port, sockets, received, accepted: () => received.length }
}

export type Ending = 'keep' | 'fin' | 'reset'

/** Answers each request with these bytes, and then keeps the connection, ends it, or resets it. */
export function saying(text: string | Buffer, ending: Ending = 'keep'): Promise<RawBackend> {
  return rawBackend((socket) => {
    socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text, () => end(socket, ending))
  })
}

/** Ends each connection at the first request, without a byte. */
export const silent = (ending: Ending): Promise<RawBackend> => rawBackend((socket) => end(socket, ending))

function end(socket: Socket, ending: Ending): void {
  if (ending === 'fin') socket.end()
  else if (ending === 'reset') socket.resetAndDestroy()
}

/** The three ways in which a response can tell its end, each with a head and half of its body. */
export const halfResponses = {
  'content-length': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.',
  chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf.',
  'close-delimited': 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf.',
} as const

/** The same by HTTP/2 in the clear. `streams`: how many requests it takes at once on a connection. */
export async function http2Backend(
  listener: RequestListener,
  streams = 100,
): Promise<TestBackend & { server: Http2Server }> {
  const server = createHttp2Server({ settings: { maxConcurrentStreams: streams } }, listener as never)
  let accepted = 0
  server.on('connection', () => accepted++)
  server.on('session', (session) => session.on('error', () => undefined))
  const sockets = closeAfterTest(server)
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, port, sockets, accepted: () => accepted, server }
}
