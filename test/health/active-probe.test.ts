// One probe of each kind, against servers that answer, and against those that do everything wrong.
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { z } from 'zod'
import { type Backend, backendSchema } from '../../src/backend.ts'
import { systemClock } from '../../src/clock.ts'
import { probe } from '../../src/health/probe.ts'
import { activeSchema, type ProbeFunction } from '../../src/health/probe-options.ts'
import {
  answering,
  halfResponses,
  httpBackend,
  rawBackend,
  refusing,
  saying,
  silent,
  type TestBackend,
} from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { dialling } from '../support/dialling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

type Options = z.input<typeof activeSchema>
const long = 600_000

/** What one probe finds; nothing of it may be left when that is known. */
async function found(to: TestBackend | string, options: Options = {}): Promise<string | undefined> {
  const url = typeof to === 'string' ? to : to.url
  const config = activeSchema.parse({ timeoutMs: long, ...options })
  const fault = await probe(
    backendSchema.parse(url),
    config,
    { clock: systemClock, dial: dialling },
    new AbortController().signal,
  )
  if (typeof to !== 'string') await until(() => to.sockets.size === 0)
  return fault
}

/** Sends `text` again and again, as fast as it is taken, until the connection is closed. */
function endless(socket: Socket, text: string): void {
  const many = text.repeat(Math.ceil(16_384 / text.length))
  const more = (): void => {
    while (!socket.destroyed && socket.write(many));
  }
  socket.on('drain', more)
  more()
}

/** Sends `text` a byte at a time, and then nothing more. */
async function drip(socket: Socket, text: string): Promise<void> {
  for (const letter of text) {
    if (socket.destroyed) return
    socket.write(letter)
    await setImmediate()
  }
}

it('by HTTP, sends what it is told to, and nothing else', async () => {
  const backend = await answering()
  const headers = { Authorization: 'Bearer x', 'User-Agent': 'mine' }
  expect(await found(backend, { path: '/a/../b?c', method: 'HEAD', host: 'shop.example', headers })).toBeUndefined()
  const [{ method, url, rawHeaders }] = backend.seen as [(typeof backend.seen)[0]]
  expect([method, url]).toEqual(['HEAD', '/a/../b?c'])
  const pairs = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name.toLowerCase(), rawHeaders[i + 1]]] : []))
  expect(Object.fromEntries(pairs)).toEqual({
    authorization: 'Bearer x',
    connection: 'close',
    host: 'shop.example',
    'user-agent': 'mine',
  })
})

it('by HTTP, the Host is by default that of the backend, also when another port is probed', async () => {
  const backend = await answering()
  expect(await found('http://127.0.0.1:1', { port: backend.port })).toBeUndefined()
  const { rawHeaders } = backend.seen[0]!
  expect(rawHeaders[rawHeaders.findIndex((name) => name.toLowerCase() === 'host') + 1]).toBe('127.0.0.1:1')
})

it.each([
  ['text that is there', 'well', undefined],
  ['text that is not', 'ill', 'body not as expected'],
  ['an expression that matches', /^all\swell$/, undefined],
  ['an expression that does not', /^well/, 'body not as expected'],
] as const)('by HTTP, the body is held against %s', async (_, body, fault) => {
  const backend = await answering((response) => {
    response.write('all ')
    response.end('well')
  })
  expect(await found(backend, { body })).toBe(fault)
})

it('an expression with a memory finds the same each time', async () => {
  const backend = await answering()
  const config = activeSchema.parse({ body: /ok/g })
  for (let i = 0; i < 3; i++)
    expect(
      await probe(
        backendSchema.parse(backend.url),
        config,
        { clock: systemClock, dial: dialling },
        new AbortController().signal,
      ),
    ).toBeUndefined()
})

it('a status that is not expected is a failure whatever the body says', async () => {
  expect(await found(await answering((r) => r.writeHead(503).end('ok')), { body: 'ok' })).toBe('status 503')
})

it('redirects are not followed', async () => {
  const target = await answering()
  const backend = await answering((r) => r.writeHead(302, { location: target.url }).end())
  expect(await found(backend, { statuses: { from: 200, to: 299 } })).toBe('status 302')
  expect(await found(backend)).toBeUndefined()
  expect(target.seen).toEqual([])
})

it.each([
  ['headers without end', (s: Socket) => endless(s, 'X: y\r\n'), 'HTTP/1.1 200 OK\r\n', 'HPE_HEADER_OVERFLOW'],
  [
    '1xx responses without end',
    (s: Socket) => endless(s, 'HTTP/1.1 103 Early Hints\r\n\r\n'),
    '',
    'too many interim responses',
  ],
  ['a body without end', (s: Socket) => endless(s, 'x'), 'HTTP/1.1 200 OK\r\n\r\n', 'body not as expected'],
  [
    'chunks without end',
    (s: Socket) => endless(s, '1\r\nx\r\n'),
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    'body not as expected',
  ],
  [
    'a switch of protocols',
    () => undefined,
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
    'status 101',
  ],
  ['what is no HTTP', () => undefined, 'SSH-2.0-OpenSSH_9.6\r\n', 'HPE_INVALID_CONSTANT'],
  [
    'a length that is none',
    () => undefined,
    'HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n',
    'HPE_INVALID_CONTENT_LENGTH',
  ],
  [
    'a chunk that is none',
    () => undefined,
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    'HPE_INVALID_CHUNK_SIZE',
  ],
] as const)('%s: a failure that says so, and leaves nothing open', async (_, then, head, fault) => {
  const backend = await rawBackend((socket) => {
    socket.write(head)
    then(socket)
  })
  expect(await found(backend, { body: 'ok' })).toBe(fault)
})

it('a body without end does no harm: it is not read, or as far as 64 KiB', async () => {
  const backend = await rawBackend((socket) => {
    socket.write('HTTP/1.1 200 OK\r\n\r\nfine')
    endless(socket, 'x')
  })
  expect(await found(backend)).toBeUndefined()
  expect(await found(backend, { body: 'fine' })).toBeUndefined()
  expect(await found(backend, { body: /x$/ })).toBeUndefined()
  const late = await saying(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n${'x'.repeat(65_535)}ok`, 'fin')
  expect(await found(late, { body: 'ok' })).toBe('body not as expected')
})

it.each([
  ['a head', 'HTTP/1.1 200 OK\r\nX-Slow:'],
  ['a body', 'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok'],
])('%s that drips and does not end is cut off in time', async (_, text) => {
  const backend = await rawBackend((socket) => void drip(socket, text))
  expect(await found(backend, { body: 'ok', timeoutMs: 30 })).toBe('no answer within 30 ms')
})

it.each([
  ['ends without a byte', () => silent('fin'), 'ECONNRESET'],
  ['resets without a byte', () => silent('reset'), 'ECONNRESET'],
  ['cuts a body of a length', () => saying(halfResponses['content-length'], 'fin'), 'ECONNRESET'],
  ['cuts a body of chunks', () => saying(halfResponses.chunked, 'fin'), 'ECONNRESET'],
] as const)('one that %s is a failure', async (_, backend, fault) => {
  expect(await found(await backend(), { body: 'half' })).toBe(fault)
})

it('over TLS a certificate that does not verify is a failure, and so is a server without TLS', async () => {
  const server = createTlsServer(selfSigned(), (_, response) => response.end('ok'))
  closeAfterTest(server)
  const port = await listen(server)
  expect(await found(`https://localhost:${port}`)).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
  expect(await found(`https://127.0.0.1:${port}`, { host: 'localhost' })).toBe('DEPTH_ZERO_SELF_SIGNED_CERT')
  const plain = await answering()
  expect(await found(plain.url.replace('http:', 'https:'))).toMatch(/^(ERR_SSL_|EPROTO)/)
})

it('by TCP, who accepts is well, whatever it says or does not', async () => {
  const mute = await rawBackend(() => undefined)
  expect(await found(mute, { type: 'tcp' })).toBeUndefined()
  expect(await found('http://127.0.0.1:1', { type: 'tcp', port: mute.port })).toBeUndefined()
  expect(mute.received).toEqual(['', ''])
  expect(await found((await refusing()).url, { type: 'tcp' })).toBe('ECONNREFUSED')
})

const one: Backend = backendSchema.parse({ id: 'x', url: 'http://127.0.0.1:1' })
const ask = (
  fn: (backend: Backend, signal: AbortSignal) => unknown,
  clock = fakeClock(),
  signal = new AbortController().signal,
) => probe(one, activeSchema.parse({ probe: fn as ProbeFunction, timeoutMs: 100 }), { clock, dial: dialling }, signal)

const brokenThenable = Object.defineProperty({}, 'then', {
  get(): never {
    throw new Error('hostile')
  },
})

const functions: [string, () => unknown, string | undefined][] = [
  ['returns nothing', () => undefined, undefined],
  ['resolves', async () => undefined, undefined],
  ['resolves to false', async () => false, undefined],
  [
    'throws',
    () => {
      throw new Error('no replica')
    },
    'no replica',
  ],
  ['rejects', () => Promise.reject(new Error('lag of 30 s')), 'lag of 30 s'],
  ['rejects with text', () => Promise.reject('down'), 'down'],
  ['rejects with nothing', () => Promise.reject(), 'undefined'],
  ['rejects with what has no text', () => Promise.reject(Object.create(null)), 'an object that has no text'],
  ['returns what breaks when it is awaited', () => brokenThenable, 'hostile'],
  ['says too much', () => Promise.reject(new Error('x'.repeat(1e6))), 'x'.repeat(1024)],
  ['says half a character', () => Promise.reject(new Error('\ud800')), '\ufffd'],
]
it.each(functions)('a function that %s', async (_, fn, fault) => {
  const clock = fakeClock()
  expect(await ask(fn, clock)).toBe(fault)
  expect(clock.timers).toBe(0)
})

it('a function gets its backend, and a signal that ends with the probe', async () => {
  let given: [Backend, AbortSignal] | undefined
  await ask((...args) => {
    given = args
    expect(args[1].aborted).toBe(false)
  })
  expect(given![0]).toBe(one)
  expect(given![1].aborted).toBe(true)
})

it.each(['hangs', 'rejects late', 'resolves late'])('a function that %s is a failure after its time', async (what) => {
  const clock = fakeClock()
  let settle: (() => void) | undefined
  let told = false
  const fault = ask((_, signal) => {
    signal.addEventListener('abort', () => {
      told = true
    })
    return new Promise<void>((resolve, reject) => {
      settle = what === 'rejects late' ? () => reject(new Error('too late')) : resolve
    })
  }, clock)
  await setImmediate()
  clock.advance(99)
  expect(told).toBe(false)
  clock.advance(1)
  expect(await fault).toBe('no answer within 100 ms')
  expect([told, clock.timers]).toEqual([true, 0])
  if (what !== 'hangs') settle!()
  await setImmediate()
})

it('a probe that is stopped has found nothing, and leaves nothing', async () => {
  const backend = await httpBackend(() => undefined)
  const clock = fakeClock()
  const stop = new AbortController()
  const kinds: Options[] = [{}, { type: 'tcp' }, { probe: () => new Promise(() => undefined) }]
  const under = kinds.map((kind) =>
    probe(
      backendSchema.parse(backend.url),
      activeSchema.parse({ ...kind, timeoutMs: long }),
      { clock, dial: dialling },
      stop.signal,
    ),
  )
  await until(() => backend.accepted() === 2)
  stop.abort()
  expect(await Promise.all(under)).toEqual([undefined, undefined, undefined])
  await until(() => backend.sockets.size === 0)
  expect(clock.timers).toBe(0)
})
