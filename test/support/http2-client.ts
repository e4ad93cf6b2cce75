// Clients of HTTP/2 for tests: Node's own, and one that writes frames as they are given.
import {
  type ClientHttp2Session,
  connect,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2'
import { onTestFinished } from 'vitest'
import { type RawClient, rawClient } from './raw-client.ts'
import { until } from './until.ts'

/** A session that ends with the test. It does not care whose certificate it is. */
export function http2Session(port: number, secure = false): ClientHttp2Session {
  const session = connect(`${secure ? 'https' : 'http'}://127.0.0.1:${port}`, { rejectUnauthorized: false })
  session.on('error', () => undefined)
  onTestFinished(() => session.destroy())
  return session
}

export interface Http2Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Those of interim responses. */
  readonly informational: readonly IncomingHttpHeaders[]
  readonly trailers: IncomingHttpHeaders
  readonly body: string
  /** The code by which the stream was reset; 0 where it came to its end. */
  readonly code: number
}

/** Sends one request, and reads its response. One that is reset resolves with the code. */
export function send2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders = {},
  body?: string | Buffer,
): Promise<Http2Reply> {
  return new Promise((resolve) => {
    const stream = session.request({ ':authority': 'edge.test', ...headers }, { endStream: body === undefined })
    const chunks: Buffer[] = []
    const informational: IncomingHttpHeaders[] = []
    let head: IncomingHttpHeaders & { ':status'?: number | undefined } = {}
    let trailers: IncomingHttpHeaders = {}
    stream.on('headers', (given) => void informational.push(given))
    stream.on('response', (given) => {
      head = given
    })
    stream.on('trailers', (given) => {
      trailers = given
    })
    stream.on('data', (chunk: Buffer) => void chunks.push(chunk))
    stream.on('error', () => undefined)
    stream.on('close', () =>
      resolve({
        status: head[':status'] ?? 0,
        headers: head,
        informational,
        trailers,
        body: Buffer.concat(chunks).toString('latin1'),
        code: stream.rstCode,
      }),
    )
    if (body !== undefined) stream.end(body)
  })
}

export const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7, windowUpdate: 8 } as const
const endStream = 1
const endHeaders = 4

export function frame(type: number, flags: number, id: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(id, 5)
  return Buffer.concat([head, payload])
}

// HPACK (RFC 7541): a literal without indexing, its texts as they are.
function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const length: number[] = []
  if (bytes.length < 127) length.push(bytes.length)
  else {
    length.push(127)
    let rest = bytes.length - 127
    for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128)
    length.push(rest)
  }
  return Buffer.concat([Buffer.from(length), bytes])
}

type Fields = readonly (readonly [string, string])[]

/** A HEADERS frame of these fields, which are not looked at. */
export function headersFrame(id: number, fields: Fields, end = true): Buffer {
  const block = fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), literal(name), literal(value)]))
  return frame(frameTypes.headers, endHeaders | (end ? endStream : 0), id, Buffer.concat(block))
}

export const dataFrame = (id: number, data: string, end = true): Buffer =>
  frame(frameTypes.data, end ? endStream : 0, id, Buffer.from(data))

export function resetFrame(id: number, code: number = constants.NGHTTP2_CANCEL): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(code)
  return frame(frameTypes.reset, 0, id, payload)
}

/** The fields of a plain GET. */
export const get: Fields = [
  [':method', 'GET'],
  [':path', '/'],
  [':scheme', 'http'],
  [':authority', 'edge.test'],
]

interface Frame {
  readonly type: number
  readonly id: number
  readonly payload: Buffer
}

export interface FrameClient extends RawClient {
  readonly frames: () => Frame[]
  /** Resolves once a stream is over: the code by which it was reset, 0 for its end; or -1 with the connection. */
  over(id: number): Promise<number>
}

/** Connects, greets, and writes what is given. */
export async function frameClient(port: number, ...given: readonly Buffer[]): Promise<FrameClient> {
  const greeting = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(frameTypes.settings, 0, 0)])
  const client = await rawClient(port, Buffer.concat([greeting, ...given]))
  const frames = (): Frame[] => {
    const bytes = Buffer.from(client.text(), 'latin1')
    const found: Frame[] = []
    for (let at = 0; at + 9 <= bytes.length; ) {
      const length = bytes.readUIntBE(at, 3)
      if (at + 9 + length > bytes.length) break
      found.push({
        type: bytes[at + 3]! | ((bytes[at + 4]! & endStream) << 8),
        id: bytes.readUInt32BE(at + 5),
        payload: bytes.subarray(at + 9, at + 9 + length),
      })
      at += 9 + length
    }
    return found
  }
  const codeOf = (id: number): number | undefined => {
    for (const one of frames()) {
      if (one.id !== id) continue
      if (one.type === frameTypes.reset) return one.payload.readUInt32BE()
      if (one.type === (frameTypes.data | 0x100) || one.type === (frameTypes.headers | 0x100)) return 0
    }
    return undefined
  }
  return {
    ...client,
    frames,
    async over(id) {
      await until(() => codeOf(id) !== undefined || client.socket.destroyed)
      return codeOf(id) ?? -1
    },
  }
}
