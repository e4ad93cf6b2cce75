// The parser of responses: by the letter, however the bytes come in, and no more lenient than Node's own.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { httpTransport } from '../../src/transports/http.ts'
import type { ResponseHead } from '../../src/transports/response-head.ts'
import { ResponseParser } from '../../src/transports/response-parser.ts'
import { attempt, transportOf } from '../support/attempt.ts'
import { rawBackend } from '../support/backends.ts'

interface Read {
  readonly interim: [number, string[]][]
  head: Pick<ResponseHead, 'status' | 'reason' | 'headers'> | undefined
  body: string
  trailers: string[]
  done: boolean
  reusable: boolean
  fault: string | undefined
}

/** What is read of these parts; `ends`: the connection ends behind them. */
function parsed(parts: readonly Buffer[], { isHead = false, ends = false, takes = () => true } = {}): Read {
  const read: Read = {
    interim: [],
    head: undefined,
    body: '',
    trailers: [],
    done: false,
    reusable: false,
    fault: undefined,
  }
  const sink = {
    onInterim: ({ status, headers }: ResponseHead) => void read.interim.push([status, headers]),
    onHead: ({ status, reason, headers }: ResponseHead) => {
      read.head = { status, reason, headers }
    },
    onBody: (chunk: Buffer) => {
      read.body += chunk.toString('latin1')
      return takes()
    },
  }
  const parser = new ResponseParser(sink, isHead)
  try {
    for (const part of parts) if (!parser.done) parser.read(part)
    // Each part that is not taken is asked for once more.
    for (let last = ''; !parser.done && last !== read.body; parser.read()) last = read.body
    if (ends) parser.end()
  } catch (error) {
    read.fault = (error as Error).message
  }
  const { done, reusable, trailers } = parser
  return Object.assign(read, { done, reusable: done && reusable, trailers })
}

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1')
const read = (text: string, options = {}): Read => parsed([latin1(text)], options)

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const chunks =
  'HTTP/1.1 200 Fine Thing\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nx-a:\t2 \r\nEmpty:\r\n\r\n2;a=b;c="d"\r\nok\r\nA\r\n0123456789\r\n00\r\nX-T: \xff\r\n\r\n'

describe('a response that is well-formed', () => {
  it('is read whole', () => {
    expect(read(ok)).toMatchObject({ head: { status: 200, reason: 'OK' }, body: 'ok', done: true, reusable: true })
    expect(read(chunks)).toMatchObject({
      head: {
        status: 200,
        reason: 'Fine Thing',
        headers: ['X-A', '1', 'Transfer-Encoding', 'chunked', 'x-a', '2', 'Empty', ''],
      },
      body: 'ok0123456789',
      trailers: ['X-T', '\xff'],
      done: true,
      reusable: true,
    })
    expect(read('HTTP/1.1 204\r\n\r\n')).toMatchObject({
      head: { status: 204, reason: '' },
      done: true,
      reusable: true,
    })
    const interim = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'
    expect(read(interim + ok)).toMatchObject({
      interim: [
        [103, ['Link', '</a>']],
        [100, []],
      ],
      body: 'ok',
      done: true,
    })
    const extended = chunks.replace('a=b;c="d"', 'a;b="\\"\xff,; ";c=d')
    expect(read(extended)).toEqual(read(chunks))
    const open = 'HTTP/1.1 200 OK\r\n\r\nto the end'
    expect(read(open)).toMatchObject({ body: 'to the end', done: false })
    expect(read(open, { ends: true })).toMatchObject({ body: 'to the end', done: true, reusable: false })
  })

  it.each([
    ['HEAD', { isHead: true }, 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['304', {}, 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n'],
    ['204', {}, 'HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n'],
  ])('has no body: %s', (_, options, text) => {
    expect(read(text, options)).toMatchObject({ body: '', done: true, reusable: true })
  })

  it.each([
    ['a length', 'Content-Length: 5'],
    ['chunks', 'Transfer-Encoding: chunked'],
  ])('to HEAD tells of a body, which may come late: %s', (_, field) => {
    const text = `HTTP/1.1 200 OK\r\n${field}\r\n\r\n`
    expect(read(text, { isHead: true })).toMatchObject({ body: '', done: true, reusable: false })
  })

  it.each([
    ['bytes behind it', `${ok}H`, false],
    ['bytes behind a 304', 'HTTP/1.1 304 Not Modified\r\n\r\nx', false],
    ['a 204 that tells a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', false],
    ['a 204 in chunks', 'HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n', false],
    ['a 304 in chunks', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n', false],
    ['Connection: close', ok.replace('\r\n\r\n', '\r\nConnection: x, Close\r\n\r\n'), false],
    [
      'Connection: close, then keep-alive',
      ok.replace('OK', 'OK\r\nConnection: close\r\nConnection: keep-alive'),
      false,
    ],
    ['Connection: keep-alive', ok.replace('OK', 'OK\r\nConnection: keep-alive'), true],
    ['HTTP/1.0', ok.replace('1.1', '1.0'), false],
    ['Proxy-Connection: close', ok.replace('OK', 'OK\r\nProxy-Connection: Close'), false],
    ['Connection: closed, which says nothing', ok.replace('OK', 'OK\r\nConnection: closed'), true],
    [
      'HTTP/1.0 with close, then keep-alive',
      ok.replace('1.1 200 OK', '1.0 200 OK\r\nConnection: close\r\nConnection: keep-alive'),
      false,
    ],
    ['HTTP/1.0 with keep-alive', ok.replace('1.1 200 OK', '1.0 200 OK\r\nconnection: Keep-Alive'), true],
  ])('leaves its connection to another one, or not: %s', (_, text, reusable) => {
    expect(read(text)).toMatchObject({ body: text.includes('ok') ? 'ok' : '', done: true, reusable })
  })

  it('is the same in whatever parts it comes, taken or not', () => {
    const bodies = fc.constantFrom(ok, chunks, `HTTP/1.1 102 Wait\r\n\r\n${chunks}`, `${ok}more`)
    fc.assert(
      fc.property(
        bodies,
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        fc.infiniteStream(fc.boolean()),
        (text, sizes, taken) => {
          const parts: Buffer[] = []
          const bytes = latin1(text)
          for (let at = 0; at < bytes.length; ) {
            const size = sizes.next().value
            parts.push(bytes.subarray(at, at + size))
            at += size
          }
          const whole = read(text)
          const inParts = parsed(parts, { takes: () => taken.next().value })
          // What comes after the end is not given to it.
          expect({ ...inParts, reusable: true }).toEqual({ ...whole, reusable: true })
        },
      ),
    )
  })
})

describe('a response that is not', () => {
  it.each([
    ['another protocol', 'SSH-2.0'],
    ['an empty line first', `\r\n${ok}`],
    ['version 0.9', ok.replace('1.1', '0.9')],
    ['version 1.2', ok.replace('1.1', '1.2')],
    ['version 2.0', ok.replace('1.1', '2.0')],
    ['lower case', ok.replace('HTTP', 'http')],
    ['two spaces before the status', ok.replace(' 200', '  200')],
    ['a status of two digits', ok.replace('200', '20')],
    ['a status of four digits', ok.replace('200', '2000')],
    ['a status that begins with 0', ok.replace('200', '099')],
    ['a bare LF behind the status line', ok.replace('OK\r\n', 'OK\n')],
    ['a bare CR in the reason', ok.replace('OK', 'O\rK')],
    ['a NUL in the reason', ok.replace('OK', 'O\0K')],
    ['a bare LF behind a field', ok.replace('2\r\n\r\n', '2\nX-A: b\r\n\r\n')],
    ['a bare LF as the empty line', ok.replace('2\r\n\r\n', '2\r\n\n')],
    ['a bare CR in a value', ok.replace('OK', 'OK\r\nX-A: a\rb')],
    ['a NUL in a value', ok.replace('OK', 'OK\r\nX-A: a\0b')],
    ['a line that is folded', ok.replace('OK', 'OK\r\nX-A: a\r\n b')],
    ['a space before the colon', ok.replace('Length:', 'Length :')],
    ['a space in a name', ok.replace('OK', 'OK\r\nX A: b')],
    ['a name above ASCII', ok.replace('OK', 'OK\r\nX-\xe9: b')],
    ['an empty name', ok.replace('OK', 'OK\r\n: b')],
    ['no colon', ok.replace('OK', 'OK\r\nX-A')],
    ['two lengths', ok.replace('OK', 'OK\r\ncontent-length: 2')],
    ['a list of lengths', ok.replace(': 2', ': 2, 2')],
    ['a negative length', ok.replace(': 2', ': -2')],
    ['a length with a sign', ok.replace(': 2', ': +2')],
    ['a length in hex', ok.replace(': 2', ': 0x2')],
    ['an empty length', ok.replace(': 2', ':')],
    ['a length beyond exact numbers', ok.replace(': 2', `: ${'9'.repeat(16)}`)],
    ['a length and a coding', chunks.replace('X-A: 1', 'Content-Length: 12')],
    ['two codings', chunks.replace('X-A: 1', 'Transfer-Encoding: chunked')],
    ['a length and another coding', ok.replace('OK', 'OK\r\nTransfer-Encoding: gzip')],
    ['chunks in HTTP/1.0', chunks.replace('1.1', '1.0')],
    ['101', 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['a chunk without a size', chunks.replace('2;a', ';a')],
    ['a chunk whose size has a sign', chunks.replace('2;a', '+2;a')],
    ['a chunk whose size has a prefix', chunks.replace('2;a', '0x2;a')],
    ['a chunk whose size is no hex', chunks.replace('A\r\n', 'G\r\n')],
    ['a chunk whose size is none', chunks.replace('A\r\n', '`\r\n')],
    ['a chunk of more than exact numbers', chunks.replace('A\r\n', `${'F'.repeat(14)}\r\n`)],
    ['a space behind a size', chunks.replace('A\r\n', 'A \r\n')],
    ['a bare LF behind a size', chunks.replace('A\r\n', 'A\n')],
    ['a bare LF in an extension', chunks.replace('a=b', 'a=\nb')],
    ['extensions without end', chunks.replace('a=b', 'a'.repeat(16_385))],
    ['extensions without end, in many chunks', chunks.replace('2;a=b', `1;${'a'.repeat(9000)}\r\no\r\n`.repeat(2))],
    ['a space in an extension', chunks.replace('a=b', 'a b')],
    ['a control character in an extension', chunks.replace('a=b', 'a=\x01')],
    ['an extension without a name', chunks.replace('a=b', '=b')],
    ['a text in an extension that does not end', chunks.replace('"d"', '"d')],
    ['a bare CR behind a size', chunks.replace('A\r\n', 'A\r')],
    ['a chunk that is longer than its size', chunks.replace('ok\r\n', 'okk\r\n')],
    ['a bare LF behind a chunk', chunks.replace('ok\r\n', 'ok\n')],
    ['a bare LF behind a trailer', chunks.replace('\xff\r\n', '\xff\n')],
    ['a length behind the body', chunks.replace('X-T: \xff', 'content-length: 2')],
    ['a coding behind the body', chunks.replace('X-T: \xff', 'Transfer-Encoding: chunked')],
    ['a trailer without a name', chunks.replace('X-T', 'X T')],
    ['a head that is too large', ok.replace('OK', `OK\r\nX-A: ${'a'.repeat(16_384)}`)],
    ['a head without end', `HTTP/1.1 200 OK\r\n${'a: b\r\n'.repeat(20_000)}`],
    ['a reason without end', `HTTP/1.1 200 ${'a'.repeat(40_000)}`],
    ['spaces without end before a value', `HTTP/1.1 200 OK\r\nX-A:${' '.repeat(400_000)}`],
    ['lines without end of spaces before values', `HTTP/1.1 200 OK\r\n${`a:${'\t'.repeat(100)}\r\n`.repeat(4000)}`],
    ['a name without end', `HTTP/1.1 200 OK\r\n${'a'.repeat(40_000)}`],
    ['trailers without end', `${chunks.slice(0, -2)}${'a: b\r\n'.repeat(20_000)}`],
  ])('is refused: %s', (_, text) => {
    const { fault, done } = read(text)
    expect([typeof fault, done]).toEqual(['string', false])
    // However small its parts are.
    const bytes = latin1(text)
    const parts = Array.from({ length: Math.ceil(bytes.length / 3) }, (_, i) => bytes.subarray(3 * i, 3 * i + 3))
    expect(typeof parsed(parts).fault).toBe('string')
  })

  it.each([100, 102])('is one with interim responses without end: %d', (status) => {
    const interim = `HTTP/1.1 ${status} Interim\r\n\r\n`
    expect(read(interim.repeat(100) + ok)).toMatchObject({ body: 'ok', done: true })
    expect(read(interim.repeat(101) + ok)).toMatchObject({ head: undefined, done: false, fault: expect.any(String) })
  })

  it('is refused wherever Node refuses it, and read as Node reads it elsewhere', async () => {
    let said = ''
    const backend = await rawBackend((socket) => void socket.end(said, 'latin1'))
    const transport = transportOf(httpTransport, { connections: { maxRequests: 1 } })
    const bytes = fc.constantFrom(...'\r\n \t:;,0129aAfFxgGkK\0\x7f\xff-"')
    const edits = fc.array(fc.record({ at: fc.double({ min: 0, max: 1, noNaN: true }), cut: fc.nat(2), put: bytes }), {
      minLength: 1,
      maxLength: 3,
    })
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(ok, chunks, chunks.replace('X-A: 1', 'Connection: close')),
        edits,
        async (text, all) => {
          for (const { at, cut, put } of all) {
            const place = Math.floor(at * text.length)
            text = text.slice(0, place) + put + text.slice(place + cut)
          }
          const ours = read(text, { ends: true })
          // What follows a response is for the connection to deal with.
          if (!ours.done || read(text.slice(0, -1)).done) return
          said = text
          const told = await attempt(transport, backend.url, { repeatable: false }).over()
          expect(told.failure, JSON.stringify(text)).toBeUndefined()
          const { status, reason, headers, body, trailers } = told
          expect({ status, reason, headers, body, trailers }, JSON.stringify(text)).toEqual({
            ...ours.head,
            body: ours.body,
            trailers: ours.trailers,
          })
        },
      ),
      { numRuns: 300 },
    )
  })
})
