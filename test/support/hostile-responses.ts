// Responses as a hostile or a broken backend writes them, and what our parser, Node's and undici's make of the same bytes.
import http from 'node:http'
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { Client, type Dispatcher } from 'undici'
import { expect } from 'vitest'
import type { ResponseHead } from '../../src/transports/response-head.ts'
import { ResponseParser } from '../../src/transports/response-parser.ts'

const statusLines = fc.constantFrom(
  ...[
    '200 OK',
    '200',
    '200 ',
    '201 Made',
    '204 No Content',
    '304 Not Modified',
    '205 Reset',
    '404 Not\tFound',
    '999 x',
    '418 \xe9',
  ].map((line) => `HTTP/1.1 ${line}`),
  ...[
    'HTTP/1.0 200 OK',
    'HTTP/1.1  200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1\t200 OK',
    'HTTP/2.0 200 OK',
  ],
  ...[
    'HTTP/1.1 200 O\0K',
    'HTTP/1.1 200 O\rK',
    'HTTP/1.1 099 OK',
    'HTTP/0.9 200 OK',
    'http/1.1 200 OK',
    '\r\nHTTP/1.1 200 OK',
  ],
  ...['ICY 200 OK', 'HTTP/1.1 101 Switching Protocols', 'HTTP/1.1 1x0 OK', 'HTTP/1.1 200OK', 'HTTP/1.12 200 OK'],
)
const plainStatus = fc.constantFrom('HTTP/1.1 200 OK', 'HTTP/1.1 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.0 200 OK')

const fields = fc.constantFrom(
  ...[
    'X-A: 1',
    'x-a:2',
    'X-A:\t3 \t',
    'Empty:',
    'Empty: ',
    'X-B: caf\xe9',
    '__proto__: p',
    'Set-Cookie: a=1',
    'Via: 1.1 x',
  ],
  ...[
    'Connection: close',
    'connection: x, Close',
    'Connection: keep-alive',
    'Connection: keep-alive, close',
    'Connection: "close"',
  ],
  ...[
    'Keep-Alive: timeout=5',
    'Upgrade: h2c',
    'Connection: upgrade',
    'Trailer: X-T',
    'Proxy-Connection: close',
    'Date: now',
  ],
  ...[
    'X-A : 1',
    ' X-A: 1',
    'X A: 1',
    'X-A',
    ': 1',
    '',
    'X-A: a\r\n b',
    'X-A: a\0b',
    'X-A: a\rb',
    'X-A: a\nb',
    'X-\xe9: 1',
  ],
)
const lengths = fc.constantFrom(
  ...[
    '2',
    '5',
    '0',
    '10',
    '02',
    ' 5',
    '5 ',
    '+5',
    '-5',
    '5,5',
    '5, 5',
    '5 5',
    '0x5',
    '5.0',
    '',
    '1e1',
    '9007199254740993',
    '5;',
    '"5"',
  ],
  ...['99999999999999999999', '000000000000005', '0000000000000000000005'],
)
const codings = fc.constantFrom(
  ...[
    'chunked',
    'Chunked',
    'chunked ',
    'gzip, chunked',
    'chunked, chunked',
    'chunked, gzip',
    'identity',
    'gzip',
    '',
    ',chunked',
  ],
  ...['xchunked', 'chunked;a=b', '"chunked"', '\tchunked', 'chunked,', 'chunke', 'identity, chunked', 'gzip,\tchunked'],
)
const framing = fc.oneof(
  lengths.map((value) => `Content-Length: ${value}`),
  codings.map((value) => `Transfer-Encoding: ${value}`),
  fc.constantFrom(
    'Content-Length: 5',
    'Transfer-Encoding: chunked',
    'Content-Length : 5',
    'Transfer-Encoding : chunked',
  ),
  fc.constantFrom('Content_Length: 5', 'Content-Length:\r\n 5', 'Transfer-Encoding:\r\n chunked', 'content-length:5'),
)

const sizes = fc.constantFrom(
  ...[
    '5',
    '05',
    '5;a',
    '5;a=b',
    '5;a="b c"',
    '5 ',
    ' 5',
    '5\t',
    '+5',
    '-5',
    '0x5',
    '5;',
    '5;;',
    '5; a',
    '5 ;a',
    '5;a=',
    '5;a="',
    '5;=b',
  ],
  ...[
    '',
    '5g',
    '6',
    '4',
    'A',
    'fffffffffffffffff',
    '10000000000000005',
    '00000000000000005',
    '5;a\0',
    '5;\xe9',
    '5;a="\\""',
    '5;a=b;c=d',
  ],
)
const ends = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r', '\r\r\n', '', ' \r\n')
const chunk = fc
  .tuple(fc.oneof(fc.constant('5'), sizes), ends, fc.constantFrom('hello', 'he\r\nl', 'hell', 'hello!'), ends)
  .map((parts) => parts.join(''))
const trailers = fc.array(fc.oneof(fc.constant('X-T: 1'), fields, framing), { maxLength: 2 })
const chunked = fc
  .tuple(
    fc.array(chunk, { maxLength: 3 }),
    fc.constantFrom('0', '0', '00', '0;a', '', '-0', '0 '),
    ends,
    trailers,
    ends,
  )
  .map(([chunks, size, end, lines, last]) =>
    [...chunks, size, end, ...lines.map((line) => `${line}\r\n`), last].join(''),
  )
const bodies = fc.oneof(
  fc.constantFrom('hello', 'he', '', 'hello\r\n', 'hello world'),
  chunked,
  fc.constant('5\r\nhello\r\n0\r\n\r\n'),
)
const behind = fc.constantFrom('', '', '', '\r\n', 'x', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n')
const interims = fc.array(
  fc.constantFrom(
    ...[
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n',
      'HTTP/1.1 102 Wait\r\nContent-Length: 5\r\n\r\n',
      'HTTP/1.1 102\r\n\r\n',
    ],
    'HTTP/1.1 102 Wait\r\nTransfer-Encoding: chunked\r\n\r\n',
  ),
  { maxLength: 2 },
)

const written = fc
  .record({
    interims: fc.oneof({ weight: 4, arbitrary: fc.constant<string[]>([]) }, { weight: 1, arbitrary: interims }),
    status: fc.oneof({ weight: 3, arbitrary: plainStatus }, { weight: 1, arbitrary: statusLines }),
    before: fc.array(fields, { maxLength: 2 }),
    framing: fc.array(framing, { maxLength: 2 }),
    after: fc.array(fields, { maxLength: 1 }),
    end: fc.oneof({ weight: 9, arbitrary: fc.constant('\r\n') }, { weight: 1, arbitrary: ends }),
    body: bodies,
    behind,
  })
  .map(({ interims, status, before, framing, after, end, body, behind }) =>
    [...interims, ...[status, ...before, ...framing, ...after].map((line) => `${line}\r\n`), end, body, behind].join(
      '',
    ),
  )

const edit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  cut: fc.nat(2),
  put: fc.constantFrom(...'\r\n \t:;,0129aAfFxgGkK\0\x7f\xff-"=', '\r\n', ''),
})

/** Bytes, as latin1, that may be a response, and in what parts they come. */
const hostileResponses = fc.record({
  text: fc
    .tuple(
      written,
      fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: fc.array(edit, { maxLength: 2 }) }),
    )
    .map(([text, edits]) =>
      edits.reduce((before, { at, cut, put }) => {
        const place = Math.floor(at * before.length)
        return before.slice(0, place) + put + before.slice(place + cut)
      }, text),
    ),
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
  sizes: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
})

/** These bytes in parts of these sizes, over and over. */
function inParts(text: string, sizes: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1')
  const parts: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return parts
}

/** What a parser takes a response for. */
interface Taken {
  readonly status: number
  readonly reason: string
  readonly headers: readonly string[]
  readonly body: string
  readonly trailers: readonly string[]
  /** Whether its connection may carry another request. */
  readonly stays: boolean
}

/** A connection in memory on which these parts come once something was written, and then its end. */
class Said extends Duplex {
  readonly #parts: Buffer[]

  constructor(parts: readonly Buffer[]) {
    super()
    this.#parts = [...parts]
  }

  override _read(): void {}

  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done()
    const parts = this.#parts.splice(0)
    // Only once the request is through: what comes sooner has been asked for by nobody.
    setImmediate(() => {
      for (const part of parts) this.push(part)
      if (parts.length > 0) setImmediate(() => this.push(null))
    })
  }

  // What clients ask of a socket.
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
}

/** What `node:http` takes these parts for; undefined where it refuses them. */
function takenByNode(parts: readonly Buffer[], method: string): Promise<Taken | undefined> {
  return new Promise((resolve) => {
    const agent = new http.Agent({ keepAlive: true })
    Object.assign(agent, { createConnection: () => new Said(parts) })
    const request = http.request({ agent, method, host: 'backend.test' })
    request.on('error', () => resolve(undefined))
    request.on('upgrade', () => resolve(undefined))
    request.on('response', (response) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('error', () => resolve(undefined))
      response.on('data', (text: string) => {
        body += text
      })
      response.on('end', () => {
        const {
          statusCode: status = 0,
          statusMessage: reason = '',
          rawHeaders: headers,
          rawTrailers: trailers,
        } = response
        resolve({ status, reason, headers, body, trailers, stays: request.shouldKeepAlive })
      })
      response.on('close', () => resolve(undefined))
    })
    request.end()
  })
}

/** What undici takes them for. Whether the connection stays it does not tell. */
function takenByUndici(parts: readonly Buffer[], method: string): Promise<Omit<Taken, 'stays'> | undefined> {
  return new Promise((resolve) => {
    const client = new Client('http://backend.test', {
      connect: (_options, callback) => queueMicrotask(() => callback(null, new Said(parts) as never)),
    })
    const end = (taken: Omit<Taken, 'stays'> | undefined): void => {
      resolve(taken)
      client.destroy().catch(() => undefined)
    }
    const latin1 = (raw: readonly Buffer[]): string[] => raw.map((part) => part.toString('latin1'))
    let head = { status: 0, reason: '', headers: [] as string[] }
    let body = ''
    const handler = {
      onConnect: () => undefined,
      onHeaders: (status: number, raw: Buffer[], _resume: unknown, reason: string) => {
        head = { status, reason, headers: latin1(raw) }
        return true
      },
      onData: (part: Buffer) => {
        body += part.toString('latin1')
        return true
      },
      onComplete: (raw: Buffer[] | null) => end({ ...head, body, trailers: latin1(raw ?? []) }),
      onError: () => end(undefined),
    }
    const options = { method: method as Dispatcher.HttpMethod, path: '/', reset: false }
    client.dispatch(options as Dispatcher.DispatchOptions, handler as unknown as Dispatcher.DispatchHandler)
  })
}

interface Ours extends Taken {
  /** How many of the parts were read. */
  readonly parts: number
}

/** What our own parser takes them for. */
function takenByUs(parts: readonly Buffer[], method: string): Ours | undefined {
  let head: ResponseHead | undefined
  let body = ''
  const sink = {
    onInterim: () => undefined,
    onHead: (read: ResponseHead) => {
      head = read
    },
    onBody: (chunk: Buffer) => {
      body += chunk.toString('latin1')
      return true
    },
  }
  const parser = new ResponseParser(sink, method === 'HEAD')
  let count = 0
  try {
    while (count < parts.length && !parser.done) parser.read(parts[count++]!)
    parser.end()
  } catch {
    return undefined
  }
  if (head === undefined || !parser.done) return undefined
  const { status, reason, headers } = head
  return { status, reason, headers, body, trailers: parser.trailers, stays: parser.reusable, parts: count }
}

/**
 * Holds for so many hostile responses, in random parts: what our parser takes, Node's and undici's take too, and for the same.
 * Known to be otherwise: undici leaves spaces behind values, reads reasons as UTF-8, and misses the body whose length a 204 or
 * 304 tells; Node's client knows too late that a response to HEAD has no body to keep its connection. Returns how many were taken.
 */
export async function takesNothingElse(numRuns: number, seed: number): Promise<{ ours: number; node: number }> {
  const taken = { ours: 0, node: 0 }
  const trimmed = (list: readonly string[]): string[] => list.map((text) => text.replace(/[ \t]+$/, ''))
  const property = fc.asyncProperty(hostileResponses, async ({ text, method, sizes }) => {
    const ours = takenByUs(inParts(text, [1]), method)
    // What stands behind a response is for its connection to deal with.
    const bytes = ours === undefined ? text : text.slice(0, ours.parts)
    const parts = inParts(bytes, sizes)
    const whole = inParts(bytes, [bytes.length])
    expect(takenByUs(parts, method)).toEqual(ours && { ...ours, parts: parts.length })
    expect(takenByUs(whole, method)).toEqual(ours && { ...ours, parts: whole.length })
    const byNode = await takenByNode(parts, method)
    if (byNode !== undefined) taken.node++
    if (ours === undefined) return
    taken.ours++
    const { stays, parts: _, ...said } = ours
    expect(byNode).toEqual({ ...said, stays: stays && method !== 'HEAD' ? stays : expect.any(Boolean) })
    if ((said.status === 204 || said.status === 304) && /^content-length: *0*[1-9]/im.test(text)) return
    const byUndici = await takenByUndici(parts, method)
    const { headers = [], trailers = [] } = byUndici ?? {}
    expect(byUndici && { ...byUndici, headers: trimmed(headers), trailers: trimmed(trailers) }).toEqual({
      ...said,
      reason: expect.any(String),
    })
  })
  await fc.assert(property, { numRuns, seed })
  return taken
}
