// What is particular to HTTP/2: many requests on a connection, and the ways in which they end one by one.
import {
  constants,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createNetServer } from 'node:net'
import { Readable } from 'node:stream'
import { createServer as createTlsServer } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { http2Transport } from '../../src/transports/http2.ts'
import { attempt, type Said, transportOf } from '../support/attempt.ts'
import { httpBackend, silent, type TestBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

interface Streaming extends TestBackend {
  readonly streams: ServerHttp2Stream[]
  readonly heads: (readonly string[])[]
  readonly sessions: ServerHttp2Session[]
}

/** A backend that decides over each stream. */
async function streaming(onStream: (stream: ServerHttp2Stream, path: string) => void, most = 100): Promise<Streaming> {
  const server = createServer({ settings: { maxConcurrentStreams: most } })
  const streams: ServerHttp2Stream[] = []
  const sessions: ServerHttp2Session[] = []
  const heads: (readonly string[])[] = []
  let accepted = 0
  server.on('connection', () => accepted++)
  server.on('session', (session) => {
    sessions.push(session)
    session.on('error', () => undefined)
  })
  // The types do not know of the last argument.
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => {
    streams.push(stream)
    heads.push(rest[1] as string[])
    stream.on('error', () => undefined)
    onStream(stream, String(headers[':path']))
  })
  const sockets = closeAfterTest(server)
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}`, port, sockets, accepted: () => accepted, streams, heads, sessions }
}

const answer = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200 })
  stream.end('ok')
}
const made = (said?: Said) => transportOf(http2Transport, said)

describe('a request', () => {
  it('says by pseudo-headers what the line and Host said, and nothing that is for a connection only', async () => {
    const backend = await streaming(answer)
    await attempt(made(), backend.url, {
      path: '/x?y',
      headers: [
        ...[
          'Host',
          'shop.test:8080',
          'Connection',
          'keep-alive',
          'Keep-Alive',
          'timeout=5',
          'Transfer-Encoding',
          'chunked',
        ],
        ...['Upgrade', 'h2c', 'TE', 'gzip', 'X-A', '1', 'x-a', '2', 'Authorization', 'a', 'authorization', 'b'],
        ...['Cookie', 'a=1', 'cookie', 'b=2', 'TE', 'trailers'],
      ],
    }).over()
    expect(backend.heads[0]).toEqual([
      ...[':method', 'GET', ':scheme', 'http', ':authority', 'shop.test:8080', ':path', '/x?y'],
      ...['x-a', '1, 2', 'authorization', 'a, b', 'cookie', 'a=1; b=2'],
      ...['te', 'trailers'],
    ])
  })

  it('shares the connection with others, also with those that came before it stood', async () => {
    const backend = await streaming((stream) => void setImmediate(() => answer(stream)))
    const transport = made()
    const all = await Promise.all(Array.from({ length: 50 }, () => attempt(transport, backend.url).over()))
    expect(all.map(({ status }) => status)).toEqual(Array(50).fill(200))
    expect(all.filter(({ connected }) => connected!.reused)).toHaveLength(49)
    expect(all[0]!.connected!.connectUs).toBeGreaterThan(0)
    expect(backend.accepted()).toBe(1)
  })

  it('that finds the connection full gets another one, up to the most that there may be', async () => {
    const backend = await streaming(() => undefined, 2)
    const transport = made({ connections: { max: 2 } })
    const told = Array.from({ length: 5 }, () => attempt(transport, backend.url))
    await until(() => backend.streams.length === 4)
    expect(backend.accepted()).toBe(2)
    expect(told.filter(({ connected }) => connected === undefined)).toHaveLength(1)
    answer(backend.streams[0]!)
    await until(() => backend.streams.length === 5)
    for (const stream of backend.streams) if (!stream.headersSent) answer(stream)
    for (const one of told) expect(await one.over()).toMatchObject({ status: 200 })
  })

  it('that is cancelled resets its stream, and disturbs no other', async () => {
    const backend = await streaming(() => undefined)
    const transport = made()
    const body = new Readable({ read: () => undefined })
    body.push('half.')
    const [bare, sending, other] = [
      attempt(transport, backend.url),
      attempt(transport, backend.url, { method: 'POST', body }),
      attempt(transport, backend.url, { path: '/other' }),
    ]
    await until(() => backend.streams.length === 3)
    let ended = false
    backend.streams[1]!.on('end', () => {
      ended = !backend.streams[1]!.aborted
    })
    backend.streams[1]!.resume()
    bare.cancel()
    sending.cancel()
    await until(() => backend.streams[0]!.closed && backend.streams[1]!.closed)
    expect(backend.streams.map(({ rstCode }) => rstCode)).toEqual([
      constants.NGHTTP2_CANCEL,
      constants.NGHTTP2_CANCEL,
      constants.NGHTTP2_NO_ERROR,
    ])
    // What was cut must not pass for a whole body.
    expect(ended).toBe(false)
    answer(backend.streams[2]!)
    expect(await other.over()).toMatchObject({ status: 200, body: 'ok' })
    expect(backend.accepted()).toBe(1)
  })
})

describe('a stream', () => {
  it('that is refused was not looked at', async () => {
    const backend = await streaming((stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM))
    expect(await attempt(made(), backend.url).over()).toMatchObject({
      failure: { result: 'backend-reset', sent: false, detail: 'REFUSED_STREAM' },
      ends: 1,
    })
  })

  for (const [name, code, result] of [
    ['NO_ERROR', constants.NGHTTP2_NO_ERROR, 'backend-reset'],
    ['INTERNAL_ERROR', constants.NGHTTP2_INTERNAL_ERROR, 'backend-reset'],
    ['CANCEL', constants.NGHTTP2_CANCEL, 'backend-reset'],
    ['PROTOCOL_ERROR', constants.NGHTTP2_PROTOCOL_ERROR, 'response-invalid'],
    ['HTTP_1_1_REQUIRED', constants.NGHTTP2_HTTP_1_1_REQUIRED, 'response-invalid'],
  ] as const) {
    it(`that is reset by ${name} before its response is ${result}`, async () => {
      const backend = await streaming((stream) => stream.close(code))
      expect(await attempt(made(), backend.url).over()).toMatchObject({
        failure: { result, sent: true, detail: name },
        ends: 1,
      })
    })
  }

  it('that is reset within its response is cut, and the connection goes on', async () => {
    const backend = await streaming((stream, path) => {
      if (path === '/ok') return answer(stream)
      stream.respond({ ':status': 200 })
      stream.write('half.', () => stream.destroy(new Error('boom')))
    })
    const transport = made()
    expect(await attempt(transport, backend.url, { path: '/cut' }).over()).toMatchObject({
      failure: { result: 'backend-cut', sent: true },
      ends: 1,
    })
    expect(await attempt(transport, backend.url, { path: '/ok' }).over()).toMatchObject({
      body: 'ok',
      connected: { reused: true },
    })
  })

  it('whose body is shorter than its length is cut', async () => {
    const backend = await streaming((stream) => {
      stream.respond({ ':status': 200, 'content-length': 10 })
      stream.end('half.')
    })
    expect(await attempt(made(), backend.url).over()).toMatchObject({ failure: { result: 'backend-cut' }, ends: 1 })
  })

  it('with a head that is too large is invalid', async () => {
    const backend = await streaming((stream) => {
      stream.respond({ ':status': 200, ...Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`x-${i}`, '1'])) })
      stream.end('ok')
    })
    expect(await attempt(made(), backend.url).over()).toMatchObject({
      failure: { result: 'response-invalid' },
      ends: 1,
    })
  })
})

describe('a connection', () => {
  it('of which the backend takes leave finishes what it carries, and gets nothing new', async () => {
    const backend = await streaming(() => undefined)
    const transport = made()
    const first = attempt(transport, backend.url)
    await until(() => backend.streams.length === 1)
    backend.sessions[0]!.goaway(constants.NGHTTP2_NO_ERROR)
    let second = attempt(transport, backend.url)
    await until(() => backend.streams.length === 2)
    // It may still have gone by the old one, if the leave came after it.
    if (backend.accepted() === 1) {
      answer(backend.streams[1]!)
      await second.over()
      second = attempt(transport, backend.url)
      await until(() => backend.streams.length === 3)
    }
    expect(backend.accepted()).toBe(2)
    for (const stream of backend.streams) if (!stream.headersSent) answer(stream)
    expect(await first.over()).toMatchObject({ body: 'ok' })
    expect(await second.over()).toMatchObject({ body: 'ok' })
    await until(() => backend.sockets.size === 1)
  })

  it('that ends with an error was not given what the backend says it has not looked at', async () => {
    const backend = await streaming((stream) => {
      if (backend.streams.length === 3) stream.session!.goaway(constants.NGHTTP2_INTERNAL_ERROR, 1)
    })
    const transport = made()
    const told = Array.from({ length: 3 }, () => attempt(transport, backend.url, { method: 'POST', repeatable: false }))
    const failures = (await Promise.all(told.map((one) => one.over()))).map(({ failure }) => failure)
    expect(failures.map((failure) => failure!.sent)).toEqual([true, false, false])
    expect(failures[1]).toMatchObject({ result: 'backend-reset', detail: 'GOAWAY' })
  })

  it('that was idle and turns out to be closed is replaced once, for what may be repeated', async () => {
    const backend = await streaming((stream) => {
      if (backend.streams.length === 2) for (const socket of backend.sockets) socket.destroy()
      else answer(stream)
    })
    const transport = made()
    await attempt(transport, backend.url).over()
    expect(await attempt(transport, backend.url).over()).toMatchObject({
      body: 'ok',
      connected: { reused: false, stale: 1 },
      ends: 1,
    })
  })

  it('carries as many requests as it may, finishes them, and is closed then', async () => {
    const backend = await streaming((stream, path) => {
      if (path !== '/held') answer(stream)
    })
    const transport = made({ connections: { max: 1, maxRequests: 3 } })
    const held = attempt(transport, backend.url, { path: '/held' })
    await until(() => backend.streams.length === 1)
    const reused: unknown[] = []
    for (let i = 0; i < 6; i++)
      reused.push((await attempt(transport, backend.url, { body: Readable.from([]) }).over()).connected?.reused)
    expect(reused).toEqual([true, true, false, true, true, false])
    expect(held.ends).toBe(0)
    answer(backend.streams[0]!)
    expect(await held.over()).toMatchObject({ body: 'ok' })
    await until(() => backend.sockets.size === 1)
    expect(backend.accepted()).toBe(3)
  })

  it('that is to close, and on which a stream is reset, was not stale', async () => {
    const backend = await streaming((stream, path) => {
      if (path === '/reset') stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      else answer(stream)
    })
    const transport = made({ connections: { maxRequests: 2 } })
    await attempt(transport, backend.url).over()
    const told = await attempt(transport, backend.url, { path: '/reset' }).over()
    expect(told).toMatchObject({ failure: { result: 'backend-reset' }, connected: { reused: true } })
    expect(backend.streams).toHaveLength(2)
  })

  it('is not used any more once it is too old, though it carries something', async () => {
    const backend = await streaming((stream, path) => {
      if (path !== '/held') answer(stream)
    })
    const clock = fakeClock()
    const transport = made({ clock, connections: { max: 1, maxAgeMs: 10_000, keepAliveMs: 600_000 } })
    const held = attempt(transport, backend.url, { path: '/held' })
    await until(() => backend.streams.length === 1)
    for (const [afterMs, reused] of [
      [8900, true],
      [1200, false],
      [0, true],
    ] as const) {
      clock.advance(afterMs)
      expect((await attempt(transport, backend.url).over()).connected).toMatchObject({ reused })
    }
    answer(backend.streams[0]!)
    expect(await held.over()).toMatchObject({ body: 'ok' })
    await until(() => backend.sockets.size === 1)
  })

  it('has the address that was reached, where the backend is given by a name', async () => {
    const { port, url } = await streaming(answer)
    const transport = made()
    const named = await attempt(transport, `http://localhost:${port}`).over()
    expect(named.connected).toMatchObject({ peerAddress: '127.0.0.1' })
    expect((await attempt(transport, url).over()).connected?.peerAddress).toBeUndefined()
  })

  it('that answers no PING after a timeout is closed', async () => {
    let stalled = false
    const backend = await streaming((stream, path) => {
      if (path === '/ok') return answer(stream)
      stalled = true
      // Nothing is read or written any more, as by a machine that is gone.
      for (const socket of backend.sockets) socket.pause()
    })
    const clock = fakeClock()
    const transport = made({ clock, timeouts: { headerMs: 100, connectMs: 100 } })
    const lost = attempt(transport, backend.url, { path: '/lost' })
    await until(() => stalled)
    clock.advance(100)
    expect(lost).toMatchObject({ failure: { result: 'header-timeout' }, ends: 1 })
    expect(transport.isIdle).toBe(false)
    clock.advance(100)
    await until(() => transport.isIdle)
  })
})

describe('a backend', () => {
  it('that does not speak HTTP/2 gets no request, and the failure says so', async () => {
    const one = await httpBackend((_request, response) => response.end('never'))
    const mail = createNetServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
    closeAfterTest(mail)
    const urls = [one.url, `http://127.0.0.1:${await listen(mail)}`, (await silent('fin')).url]
    const transport = made()
    for (const url of urls) {
      const told = await attempt(transport, url).over()
      expect(told).toMatchObject({ failure: { result: 'connect-failed', sent: false }, connected: undefined, ends: 1 })
      expect(told.failure!.detail).toMatch(/HTTP\/2/)
    }
    await until(() => transport.isIdle)
  })

  it('that takes the connection and says nothing is given up after the time for connecting', async () => {
    const mute = createNetServer((socket) => void socket.resume())
    const sockets = closeAfterTest(mute)
    const port = await listen(mute)
    const transport = made({ timeouts: { connectMs: 200 } })
    const told = await attempt(transport, `http://127.0.0.1:${port}`).over()
    expect(told).toMatchObject({ failure: { result: 'connect-failed', sent: false }, ends: 1 })
    await until(() => sockets.size === 0)
  })
})

describe('over TLS', () => {
  const trusting = { tls: { rejectUnauthorized: false } }

  it('the protocol is agreed on within the handshake', async () => {
    const server = createSecureServer(selfSigned())
    server.on('stream', answer)
    closeAfterTest(server)
    const url = `https://localhost:${await listen(server)}`
    expect(await attempt(made(trusting), url).over()).toMatchObject({ status: 200, body: 'ok' })
  })

  it('a backend that does not agree gets no request', async () => {
    const transport = made(trusting)
    for (const [protocols, result] of [
      [{ ALPNProtocols: ['http/1.1'] }, 'tls-failed'],
      [{}, 'connect-failed'],
    ] as const) {
      const server = createTlsServer({ ...selfSigned(), ...protocols }, (socket) => void socket.resume())
      server.on('tlsClientError', () => undefined)
      closeAfterTest(server)
      const told = await attempt(transport, `https://localhost:${await listen(server)}`).over()
      expect(told).toMatchObject({ failure: { result, sent: false }, ends: 1 })
    }
    await until(() => transport.isIdle)
  })
})
