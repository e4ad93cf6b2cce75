// A request of HTTP/1.1 in bytes: its head, and its body on the way to a connection.
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { inOnePiece } from '../one-piece.ts'
import type { AttemptFailure } from '../outcome.ts'
import type { AttemptRequest } from '../transport.ts'
import { valueIn } from './raw.ts'
import { BodySender, type BodySink, checkLength } from './send-body.ts'

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const notOfTarget = /[^\x21-\x7e\x80-\xff]/
const notOfValue = /[^\t\x20-\x7e\x80-\xff]/

/**
 * What stands before a value, by its name, which was found to be a token. Nearly all requests have the same ones; those that clients
 * invent are learnt anew.
 */
const beginnings = new Map<string, string>()
const mostKnown = 1024

/** These we say ourselves, or nobody does: they would frame the request, or speak of the connection. */
const ours = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

/** The line end before it, the name, and what stands between name and value. */
function beginningOf(name: string): string {
  const known = beginnings.get(name)
  if (known !== undefined) return known
  if (!token.test(name)) throw new Error('a header without a name')
  if (ours.has(name.toLowerCase())) throw new Error(`${name} among the headers`)
  if (beginnings.size >= mostKnown) beginnings.clear()
  const made = inOnePiece(`\r\n${name}: `)
  beginnings.set(name, made)
  return made
}

/** Methods by which a request without a body says so (RFC 9110 section 8.6). */
const withBodies = new Set(['POST', 'PUT', 'PATCH', 'QUERY', 'PROPFIND', 'PROPPATCH'])

/** The head with its framing, up to and with the empty line. Throws where it cannot be sent. */
export function headOf({ method, path, headers, body }: AttemptRequest): string {
  const length = checkLength(headers, body)
  if (!token.test(method)) throw new Error('a method that is no token')
  if (path[0] !== '/' || notOfTarget.test(path)) throw new Error('a target that is no path')
  let head = `${method} ${path} HTTP/1.1`
  for (let i = 0; i < headers.length; i += 2) {
    // The default of HTTP/1.1, said for servers of HTTP/1.0; behind `Host`, which stands first.
    if (i === 2) head += connection
    const name = headers[i]!
    const value = headers[i + 1]!
    head += beginningOf(name)
    if (notOfValue.test(value)) throw new Error(`a value of ${name} that cannot be sent`)
    head += value
  }
  if (headers.length <= 2) head += connection
  if (length !== undefined) return `${head}\r\n\r\n`
  if (body instanceof Readable) return `${head}\r\ntransfer-encoding: chunked\r\n\r\n`
  if (body !== undefined) return `${head}\r\ncontent-length: ${body.length}\r\n\r\n`
  return withBodies.has(method) ? `${head}\r\ncontent-length: 0\r\n\r\n` : `${head}\r\n\r\n`
}

const connection = '\r\nconnection: keep-alive'

/** Where a body that streams goes: in chunks where its length is not told. Its socket outlives it. */
class BodyOutlet implements BodySink {
  readonly #socket: Socket
  readonly #chunked: boolean
  readonly #sender: Sender
  #onDrain: (() => void) | undefined

  constructor(socket: Socket, chunked: boolean, sender: Sender) {
    this.#socket = socket
    this.#chunked = chunked
    this.#sender = sender
  }

  get writableNeedDrain(): boolean {
    return this.#socket.writableNeedDrain
  }

  on(_: 'drain', listener: () => void): void {
    this.#onDrain = listener
    this.#socket.on('drain', listener)
  }

  write(chunk: Buffer): boolean {
    if (!this.#chunked) return this.#socket.write(chunk)
    // An empty one would be the last.
    if (chunk.length === 0) return true
    this.#socket.cork()
    this.#socket.write(`${chunk.length.toString(16)}\r\n`, 'latin1')
    this.#socket.write(chunk)
    const flows = this.#socket.write('\r\n', 'latin1')
    this.#socket.uncork()
    return flows
  }

  end(): void {
    if (this.#chunked) this.#socket.write('0\r\n\r\n', 'latin1')
    this.close()
    this.#sender.onBodyEnd()
  }

  /** Leaves the socket alone from now on. */
  close(): void {
    if (this.#onDrain !== undefined) this.#socket.off('drain', this.#onDrain)
    this.#onDrain = undefined
  }
}

/** Who is told what becomes of a body that streams. */
export interface Sender {
  /** All of it is written. */
  onBodyEnd(): void
  /** It cannot go on. Called once, and nothing after it. */
  onBodyFault(failure: AttemptFailure): void
}

/** A body on its way, until it is written or left. */
export interface SentBody {
  readonly ended: boolean
  readonly waitsForClient: boolean
  leave(): void
}

/** Writes a request. Of a body that streams it returns what is known of that. */
export function writeRequest(
  socket: Socket,
  head: string,
  { body, headers }: AttemptRequest,
  sender: Sender,
): SentBody | undefined {
  if (body === undefined) {
    socket.write(head, 'latin1')
    return undefined
  }
  socket.cork()
  socket.write(head, 'latin1')
  if (!(body instanceof Readable)) {
    socket.write(body)
    socket.uncork()
    return undefined
  }
  // The head waits for what is there of the body, and no longer: a backend can answer to it alone.
  queueMicrotask(() => socket.uncork())
  const outlet = new BodyOutlet(socket, valueIn(headers, 'content-length') === undefined, sender)
  const sending = new BodySender(body, headers, outlet, (failure) => sender.onBodyFault(failure))
  return {
    get ended() {
      return sending.ended
    },
    get waitsForClient() {
      return sending.waitsForClient
    },
    leave() {
      sending.stop()
      outlet.close()
    },
  }
}
