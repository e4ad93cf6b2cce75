// Clients for tests: one that sends bytes as they are given, and one that reads responses with Node's own parser.
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { until } from './until.ts'

export interface RawClient {
  readonly socket: Socket
  /** Everything that came in, as latin1. */
  readonly text: () => string
  write(text: string | Buffer): void
  /** Resolves once what came in holds this. */
  has(part: string | RegExp): Promise<string>
  /** Resolves once the connection is over: how it ended. */
  readonly ended: Promise<'fin' | 'reset'>
}

/** Connects, and writes what is given. */
export async function rawClient(port: number, text: string | Buffer = ''): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1' })
  onTestFinished(() => void socket.destroy())
  let received = ''
  let reset = false
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    received += chunk
  })
  socket.on('error', () => {
    reset = true
  })
  const ended = new Promise<'fin' | 'reset'>((resolve) => {
    socket.on('close', () => resolve(reset ? 'reset' : 'fin'))
  })
  await new Promise<void>((resolve) => socket.once('connect', resolve))
  const write = (bytes: string | Buffer): void =>
    void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  if (text.length > 0) write(text)
  return {
    socket,
    text: () => received,
    write,
    ended,
    async has(part) {
      const holds = () => (typeof part === 'string' ? received.includes(part) : part.test(received))
      await until(() => holds() || socket.destroyed)
      if (!holds()) throw new Error(`the connection closed without ${part}: ${JSON.stringify(received)}`)
      return received
    },
  }
}

/** Writes what is given and resolves with everything that comes back until the connection closes. */
export async function rawExchange(port: number, text: string | Buffer): Promise<string> {
  const client = await rawClient(port, text)
  await client.ended
  return client.text()
}

export interface Reply {
  readonly status: number
  readonly reason: string
  /** Names and values in turn. */
  readonly rawHeaders: readonly string[]
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly trailers: readonly string[]
  /** Whether the body came to its end. */
  readonly complete: boolean
}

export interface SendOptions {
  readonly method?: string
  readonly path?: string
  /** Names and values in turn; `Host` is added where there is none. */
  readonly headers?: readonly string[]
  readonly body?: string | Buffer
}

/** Sends one request on a connection of its own, and reads the response. A response that is cut resolves as not complete. */
export function send(
  port: number,
  { method = 'GET', path = '/', headers = [], body }: SendOptions = {},
): Promise<Reply> {
  const list = headers.some((name, i) => i % 2 === 0 && /^host$/i.test(name))
    ? [...headers]
    : ['Host', 'edge.test', ...headers]
  const framed = list.some((name, i) => i % 2 === 0 && /^(content-length|transfer-encoding)$/i.test(name))
  if (body !== undefined && !framed) list.push('Content-Length', String(Buffer.byteLength(body)))
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, host: '127.0.0.1', method, path, headers: list, agent: false })
    onTestFinished(() => void request.destroy())
    let began = false
    request.on('error', (error) => {
      if (!began) reject(error)
    })
    request.on('response', (response) => {
      began = true
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => undefined)
      response.on('close', () =>
        resolve({
          status: response.statusCode ?? 0,
          reason: response.statusMessage ?? '',
          rawHeaders: response.rawHeaders,
          headers: response.headers,
          body: Buffer.concat(chunks).toString('latin1'),
          trailers: response.rawTrailers,
          complete: response.complete,
        }),
      )
    })
    request.end(body)
  })
}

/** The values of a field, in order. */
export const valuesOf = (raw: readonly string[], name: string): string[] =>
  raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name)

/** The names of the fields, in order and in their case. */
export const namesOf = (raw: readonly string[]): string[] => raw.filter((_, i) => i % 2 === 0)
