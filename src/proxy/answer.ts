// What the client gets: the head of a response, or an answer of our own.
import { type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { failures } from '../errors.ts'
import { type RequestResult, statusOf } from '../outcome.ts'

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
export function writeHead(response: ServerResponse, status: number, reason: string, headers: readonly string[]): void {
  const phrase = sendable.test(reason) ? reason : (STATUS_CODES[status] ?? '')
  const names = response.getHeaderNames()
  if (names.length === 0) {
    response.writeHead(status, phrase, headers as string[])
    return
  }
  const before = names.filter((name) => !framing.has(name)).map((name) => [name, response.getHeader(name)!] as const)
  for (const name of names) response.removeHeader(name)
  try {
    for (const { name, values } of merged(headers, before))
      response.setHeader(name, values.length === 1 ? values[0]! : values)
    response.writeHead(status, phrase)
  } catch (error) {
    // What is answered instead must not carry half of this head.
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    for (const [name, value] of before) response.setHeader(name, value)
    throw error
  }
}

interface Group {
  readonly name: string
  readonly values: string[]
}

/** Each name once, with all its values: those of the head, and those that were set before where the head has none. */
function merged(
  headers: readonly string[],
  before: readonly (readonly [string, number | string | readonly string[]])[],
): Iterable<Group> {
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
  if (response.socket !== null) reset(response.socket)
  response.destroy()
}

/**
 * Closes a connection by a reset, whatever is still to be sent on it. This is what `resetAndDestroy` sets too; but that would
 * end the connection in order first, where a write is pending. Node can reset plain TCP only, and looks at this nowhere else.
 */
export function reset(socket: Duplex): void {
  // While its end is on its way libuv refuses to reset it, and Node would never close it.
  if (!socket.writableEnded || socket.writableFinished) Object.assign(socket, { resetAndClosing: true })
  socket.destroy()
}
