// Where Node's compatibility API of HTTP/2 differs from HTTP/1, each difference once.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { afterTurn } from '../clock.ts'

type Carried = { readonly stream?: ServerHttp2Stream }

/** The stream that carries it; undefined in HTTP/1. */
export const streamOf = (one: IncomingMessage | ServerResponse): ServerHttp2Stream | undefined =>
  (one as Carried).stream

const http10 = { name: 'http', version: '1.0' } as const
const http11 = { name: 'http', version: '1.1' } as const
const http2 = { name: 'http', version: '2' } as const

/** The protocol of a request in the words of OpenTelemetry. */
export const protocolOf = ({ httpVersionMajor, httpVersionMinor }: IncomingMessage) =>
  httpVersionMajor === 2 ? http2 : httpVersionMinor === 0 ? http10 : http11

/**
 * The header fields as HTTP/1 has them: `:authority` is the host, which an equal `host` repeats in vain and another one
 * contradicts, so that there are two (RFC 9113 section 8.3.1); and the cookie is one field (section 8.2.3).
 */
export function headersOf(request: IncomingMessage): readonly string[] {
  const { rawHeaders } = request
  if (streamOf(request) === undefined) return rawHeaders
  const out: string[] = []
  let host: string | undefined
  let cookieAt = -1
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    const value = rawHeaders[i + 1]!
    // Pseudo fields come first, or the stream is reset (section 8.3).
    if (name === ':authority') {
      host = value
      out.push('host', value)
    } else if (name === 'cookie' && cookieAt >= 0) out[cookieAt] += `; ${value}`
    else if (!name.startsWith(':') && !(name === 'host' && value.toLowerCase() === host?.toLowerCase())) {
      out.push(name, value)
      if (name === 'cookie') cookieAt = out.length - 1
    }
  }
  return out
}

/** Whether all of a response was handed to the system. */
export function isFinished(response: ServerResponse): boolean {
  const stream = streamOf(response)
  if (stream === undefined) return response.writableFinished
  // One that is reset is ended by Node, and what answers HEAD is ended before it begins.
  return stream.writableFinished && stream.headersSent && !stream.aborted
}

/** The head of a response as it was sent: names and values in turn. Undefined where none was, or not by Node. */
export function sentHead(response: ServerResponse): string[] | undefined {
  const stream = streamOf(response)
  if (stream !== undefined) {
    const sent = Object.entries(stream.sentHeaders ?? {}).filter(([name]) => !name.startsWith(':'))
    return sent.flatMap(([name, value]) => [value ?? []].flat().flatMap((one) => [name, String(one)]))
  }
  // Node's note of what it has written.
  const { _header: head } = response as { readonly _header?: string | null }
  if (typeof head !== 'string') return undefined
  const lines = head.split('\r\n').filter((line) => line.includes(': '))
  return lines.flatMap((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)])
}

/** Fields that HTTP/2 has no use for (RFC 9113 section 8.2.2): a message that carries one is malformed. */
const ofConnections = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'])

export const isOfConnection = (name: string): boolean => ofConnections.has(name.toLowerCase())

/** Several values as one, where Node takes one only: a list has the same meaning in one field (RFC 9110 section 5.3). */
export function asOne(name: string, values: readonly string[]): string | string[] {
  if (values.length === 1) return values[0]!
  return single.has(name.toLowerCase()) ? values.join(', ') : [...values]
}

// Those of a response that Node refuses to send twice (`ERR_HTTP2_HEADER_SINGLE_VALUE`).
const single = new Set([
  'access-control-allow-credentials',
  'access-control-max-age',
  'access-control-request-method',
  'age',
  'authorization',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-md5',
  'content-range',
  'content-type',
  'date',
  'dnt',
  'etag',
  'expires',
  'from',
  'host',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'range',
  'referer',
  'retry-after',
  'tk',
  'upgrade-insecure-requests',
  'user-agent',
  'x-content-type-options',
])

/** Sets trailers, each name once with all its values. */
export function addTrailers(response: ServerResponse, trailers: readonly (readonly [string, string])[]): void {
  if (streamOf(response) === undefined) {
    response.addTrailers(trailers as [string, string][])
    return
  }
  const joined = new Map<string, string>()
  for (const [name, value] of trailers) {
    const lower = name.toLowerCase()
    const before = joined.get(lower)
    joined.set(lower, before === undefined ? value : `${before}, ${value}`)
  }
  response.addTrailers(Object.fromEntries(joined))
}

const ourResets = new WeakSet<ServerHttp2Stream>()

/** Whether it was us who broke a stream off. */
export const isOurReset = (stream: ServerHttp2Stream): boolean => ourResets.has(stream)

/** Breaks a stream off, and no other of its session. */
export function reset(stream: ServerHttp2Stream): void {
  ourResets.add(stream)
  stream.close(constants.NGHTTP2_INTERNAL_ERROR)
}

/**
 * Wants no more of a request whose response is complete: without an error, so that the client takes the response (RFC 9113
 * section 8.1). What is there already is read away, for a stream closes only when all of it was.
 */
export function leaveUnread(request: IncomingMessage, stream: ServerHttp2Stream): void {
  request.resume()
  if (stream.endAfterHeaders || stream.destroyed || stream.state.remoteClose === 1) return
  const close = (): void => stream.close(constants.NGHTTP2_NO_ERROR)
  // Trailers, or the end of the stream in their stead, are sent in the turn after Node asked for them.
  if (stream.sentTrailers !== undefined || request.method === 'HEAD' || endsWithHead(stream)) afterTurn(close)
  else stream.once('wantTrailers', () => afterTurn(close))
}

function endsWithHead(stream: ServerHttp2Stream): boolean {
  const status = Number(stream.sentHeaders?.[':status'])
  return status === 204 || status === 205 || status === 304
}

/** Takes no new requests on the session of this one, and ends it with the last that is open. */
export function retire(request: IncomingMessage): void {
  streamOf(request)?.session?.close()
}
