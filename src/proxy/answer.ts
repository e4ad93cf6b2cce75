// What the client gets: the head of a response, or an answer of our own.
import { ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { failures } from '../errors.ts'
import { type RequestResult, statusOf } from '../outcome.ts'
import { without } from './headers.ts'
import { asOne, isOfConnection, reset, streamOf } from './versions.ts'

/** Seconds after which a refused client may try again: an ejection or a restart takes about as long. */
const retryAfterS = 1

/** A reason phrase that Node sends. A transport may have read one in another encoding than it was written in. */
const sendable = /^[\t\x20-\x7e\x80-\xff]*$/

const framing = new Set(['connection', 'content-length', 'keep-alive', 'trailer', 'transfer-encoding'])

/**
 * Writes a head. Headers that somebody set on the response before us (Express does) go along, unless the new head has them;
 * `Set-Cookie` goes along in any case, and what frames a response in no case: that was meant for another body. They are taken
 * off first: Node would fold equal names of the two (nodejs/node#50387).
 */
export function writeHead(response: ServerResponse, status: number, reason: string, given: readonly string[]): void {
  // It has no length (RFC 9110 section 8.6): to who believes one, the next response would be its body.
  const headers = status === 204 ? without(given, 'content-length') : given
  if (streamOf(response) !== undefined) return writeHead2(response, status, headers)
  const usual = STATUS_CODES[status]
  const phrase = reason === usual || sendable.test(reason) ? reason : (usual ?? '')
  const names = response.getHeaderNames()
  if (names.length === 0 && isPlain(response)) {
    response.writeHead(status, phrase, headers as string[])
    return
  }
  const before = takeOff(response, names)
  try {
    for (const { name, values } of merged(headers, before))
      response.setHeader(name, values.length === 1 ? values[0]! : values)
    response.writeHead(status, phrase)
  } catch (error) {
    restore(response, before)
    throw error
  }
}

type Before = readonly (readonly [string, number | string | readonly string[]])[]

/** Takes off what was set before; returns what of it may go along. */
function takeOff(response: ServerResponse, names: readonly string[]): Before {
  const before = names.filter((name) => !framing.has(name)).map((name) => [name, response.getHeader(name)!] as const)
  for (const name of names) response.removeHeader(name)
  return before
}

/** What is answered instead must not carry half of a head. */
function restore(response: ServerResponse, before: Before): void {
  for (const name of response.getHeaderNames()) response.removeHeader(name)
  for (const [name, value] of before) response.setHeader(name, value)
}

/** In HTTP/2 there is no reason phrase, and nothing is said of the connection. Values are those of {@link writeHead}. */
function writeHead2(response: ServerResponse, status: number, headers: readonly string[]): void {
  const before = takeOff(response, response.getHeaderNames())
  try {
    for (const { name, values } of merged(headers, before))
      if (!isOfConnection(name)) response.setHeader(name, asOne(name, values))
    response.writeHead(status)
  } catch (error) {
    restore(response, before)
    throw error
  }
}

/**
 * Whether a head can be written as a list. Not so where a host reads headers back afterwards (Express does, and its loggers), or
 * has put a `writeHead` of its own in the place of Node's, which may know no lists (`on-headers` before 1.1).
 */
const isPlain = (response: ServerResponse): boolean =>
  Object.getPrototypeOf(response) === ServerResponse.prototype && !Object.hasOwn(response, 'writeHead')

interface Group {
  readonly name: string
  readonly values: string[]
}

/** Each name once, with all its values: those of the head, and those that were set before where the head has none. */
function merged(headers: readonly string[], before: Before): Iterable<Group> {
  const grouped = new Map<string, Group>()
  const add = (name: string, values: readonly string[]): void => {
    const key = name.toLowerCase()
    const group = grouped.get(key)
    if (group === undefined) grouped.set(key, { name, values: [...values] })
    else group.values.push(...values)
  }
  for (let i = 0; i + 1 < headers.length; i += 2) add(headers[i]!, [headers[i + 1]!])
  for (const [name, value] of before)
    if (name === 'set-cookie' || !grouped.has(name)) add(name, typeof value === 'object' ? value : [String(value)])
  return grouped.values()
}

/**
 * Passes early hints on. Node sends 103 only, and only with links of a plain form; others are dropped, for they are hints.
 */
export function writeHints(response: ServerResponse, headers: readonly string[]): void {
  const values = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === 'link')
  // Several links may share a line.
  const link = values.flatMap((value) => value.split(/\s*,\s*(?=<)/))
  if (link.length === 0 || response.headersSent) return
  try {
    response.writeEarlyHints({ link })
  } catch {
    // A form that Node does not take.
  }
}

export interface Answer {
  readonly status: number
  readonly reason: string
  readonly head: string[]
  readonly body: string
}

/** Our own answer to a request that failed: a status by the table of results, and a body that a program can read. */
export function answerTo(result: Exclude<RequestResult, 'ok'>, requestId: string, close: boolean): Answer {
  const status = statusOf(result)
  const body = `${JSON.stringify({ error: { code: result, message: failures[result].message, request_id: requestId } })}\n`
  const head = [
    'content-type',
    'application/json',
    'content-length',
    String(Buffer.byteLength(body)),
    'x-request-id',
    requestId,
  ]
  if (status === 503) head.push('retry-after', String(retryAfterS))
  if (close) head.push('connection', 'close')
  return { status, reason: STATUS_CODES[status] ?? '', head, body }
}

/**
 * Ends a response so that the client sees that it is not whole. A reset rather than an orderly end: where neither length nor
 * chunks say how long a body is (HTTP/1.0), an orderly end would pass for its end.
 */
export function cut(response: ServerResponse): void {
  const stream = streamOf(response)
  if (stream !== undefined) return reset(stream)
  if (response.socket !== null) resetSocket(response.socket)
  response.destroy()
}

/**
 * Closes a connection by a reset, whatever is still to be sent on it. This is what `resetAndDestroy` sets too; but that would
 * end the connection in order first, where a write is pending. Node can reset plain TCP only: with it a TLS socket would never
 * be closed. There the other side misses the alert that ends a session.
 */
export function resetSocket(socket: Duplex): void {
  // While its end is on its way libuv refuses to reset it, and Node would never close it.
  const ending = socket.writableEnded && !socket.writableFinished
  if (!ending && !('encrypted' in socket)) Object.assign(socket, { resetAndClosing: true })
  socket.destroy()
}
