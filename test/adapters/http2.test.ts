// HTTP/2 from clients: passed on as faithfully as HTTP/1, each stream for itself, and no way to a second request behind it.
import { constants } from 'node:http2'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { answering, echoing, halfResponses, httpBackend, rawBackend, refusing, saying } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import {
  dataFrame,
  frame,
  frameClient,
  frameTypes,
  get,
  headersFrame,
  http2Session,
  resetFrame,
  send2,
} from '../support/http2-client.ts'
import { send, valuesOf } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

async function edge2(backend: { readonly url: string }, options: Partial<BalancerOptions> = {}) {
  const record = recorded({ ...options, backends: [backend] })
  const server = createServer(record.balancer, { http2: true })
  closeAfterTest(server)
  return { ...record, server, port: await listen(server) }
}

describe('a request over HTTP/2', () => {
  it('reaches the backend with its host, one cookie, and no pseudo fields', async () => {
    const backend = await answering()
    const { port, one } = await edge2(backend)
    const headers = { ':path': '/a?b=1', cookie: ['a=1', 'b=2'], 'x-list': ['1', '2'], te: 'trailers' }
    expect(await send2(http2Session(port), headers)).toMatchObject({ status: 200, body: 'ok', code: 0 })
    const [seen] = backend.seen
    expect(seen).toMatchObject({ method: 'GET', url: '/a?b=1', body: '' })
    const raw = seen!.rawHeaders
    expect(valuesOf(raw, 'host')).toEqual(['edge.test'])
    expect(valuesOf(raw, 'cookie')).toEqual(['a=1; b=2'])
    expect(valuesOf(raw, 'x-list')).toEqual(['1', '2'])
    expect(valuesOf(raw, 'via').join()).toMatch(/^2\.0 auditlb-/)
    expect(valuesOf(raw, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(valuesOf(raw, 'te')).toEqual(['trailers'])
    for (const name of ['transfer-encoding', 'content-length']) expect(valuesOf(raw, name)).toEqual([])
    expect(raw.filter((name, i) => i % 2 === 0 && name.startsWith(':'))).toEqual([])
    expect(await one()).toMatchObject({
      client: { address: '127.0.0.1' },
      http: { request: { method: 'GET', header: { host: ['edge.test'] } }, response: { status_code: 200 } },
      lb: { result: 'ok' },
      network: { protocol: { name: 'http', version: '2' } },
      url: { path: '/a' },
    })
  })

  it('has its body streamed both ways, with a length and without', async () => {
    const { port, completed } = await edge2(await echoing())
    const session = http2Session(port)
    const body = 'x'.repeat(300_000)
    for (const headers of [{}, { 'content-length': body.length }])
      expect((await send2(session, { ':method': 'POST', ...headers }, body)).body).toBe(body)
    for (const { http } of await completed(2))
      expect([http.request.body.size, http.response.body.size]).toEqual([300_000, 300_000])
  })

  it('has an empty body without a length passed on as one that is empty', async () => {
    const backend = await answering()
    const { port, one } = await edge2(backend)
    expect(await send2(http2Session(port), { ':method': 'POST' }, '')).toMatchObject({ status: 200 })
    expect(backend.seen).toMatchObject([{ method: 'POST', body: '' }])
    await one()
  })

  it('is picked by its host where that is the key', async () => {
    const backend = await answering()
    const { port, one } = await edge2(backend, { strategy: { name: 'consistent-hash', key: { header: 'host' } } })
    await send2(http2Session(port))
    expect((await one()).lb.decision).not.toMatchObject({ reason: 'no-key' })
  })

  it('waits for a slow client with all of a long response', async () => {
    const long = Buffer.alloc(3_000_000, 'x')
    const { port, one } = await edge2(await answering((response) => response.end(long)))
    const stream = http2Session(port).request({ ':path': '/' })
    let size = 0
    stream.on('response', () => stream.pause())
    await until(() => stream.isPaused())
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
    })
    stream.resume()
    await new Promise((resolve) => stream.on('close', resolve))
    expect(size).toBe(long.length)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: long.length } } } })
  })

  it('is refused where its authority and its host contradict each other', async () => {
    const backend = await answering()
    const { port, completed } = await edge2(backend)
    const session = http2Session(port)
    expect(await send2(session, { host: 'other.test' })).toMatchObject({ status: 400 })
    expect(await send2(session, { host: 'EDGE.test' })).toMatchObject({ status: 200 })
    expect((await completed(2))[0]).toMatchObject({ lb: { result: 'malformed', detail: 'more than one Host' } })
    expect(backend.seen).toHaveLength(1)
  })

  it('is refused where its target is a URL', async () => {
    const backend = await answering()
    const { port, one } = await edge2(backend)
    const headers = { ':scheme': 'other', ':path': 'http://other.test/x' }
    expect(await send2(http2Session(port), headers)).toMatchObject({ status: 400 })
    expect(await one()).toMatchObject({ lb: { result: 'malformed', detail: 'a target that is no path in HTTP/2' } })
    expect(backend.accepted()).toBe(0)
  })

  it('is refused as CONNECT, with a record and without a harm to its session', async () => {
    const backend = await answering()
    const { port, completed } = await edge2(backend)
    const session = http2Session(port)
    expect(await send2(session, { ':method': 'CONNECT', ':authority': 'evil.test:443' })).toMatchObject({ status: 400 })
    expect(await send2(session)).toMatchObject({ status: 200 })
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['malformed', 'ok'])
    expect(backend.seen).toHaveLength(1)
  })

  it('that expects what is not met gets 417, and one that expects to go on goes on', async () => {
    const { port, completed } = await edge2(await echoing())
    const session = http2Session(port)
    expect(await send2(session, { expect: 'x' })).toMatchObject({ status: 417 })
    const reply = await send2(session, { ':method': 'POST', expect: '100-continue' }, 'body')
    expect(reply).toMatchObject({ status: 200, body: 'body' })
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['expectation-failed', 'ok'])
  })
})

describe('a response over HTTP/2', () => {
  it('keeps duplicates and every Set-Cookie, and loses what is of the connection of the backend', async () => {
    const head = [
      'HTTP/1.1 200 Fine',
      'Set-Cookie: a=1',
      'set-cookie: b=2',
      'X-A: 1',
      'x-a: 2',
      'Content-Type: text/plain',
      'Content-Type: text/html',
      'Connection: keep-alive, x-hop',
      'Keep-Alive: timeout=5',
      'X-Hop: 1',
      'Upgrade: h2c',
      'Transfer-Encoding: chunked',
    ]
    const { port, one } = await edge2(await saying(`${head.join('\r\n')}\r\n\r\n2\r\nok\r\n0\r\n\r\n`))
    const warned: Error[] = []
    const warn = (warning: Error): void => void warned.push(warning)
    process.on('warning', warn)
    const reply = await send2(http2Session(port))
    process.off('warning', warn)
    expect(reply).toMatchObject({ status: 200, body: 'ok', code: 0 })
    expect(reply.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(reply.headers['x-a']).toBe('1, 2')
    expect(reply.headers['content-type']).toBe('text/plain, text/html')
    for (const name of ['connection', 'keep-alive', 'x-hop', 'upgrade', 'transfer-encoding'])
      expect(reply.headers[name]).toBeUndefined()
    expect(warned).toEqual([])
    await one()
  })

  it('keeps trailers, twice the same name too', async () => {
    const backend = await saying(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\nx-t: 2\r\nEtag: a\r\nEtag: b\r\n\r\n',
    )
    const { port, one } = await edge2(backend)
    const reply = await send2(http2Session(port))
    expect(reply).toMatchObject({ body: 'ok', trailers: { 'x-t': '1, 2', etag: 'a, b' }, code: 0 })
    await one()
  })

  it('is preceded by early hints', async () => {
    const hints = 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\n\r\n'
    const { port } = await edge2(await saying(`${hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`))
    const reply = await send2(http2Session(port))
    expect(reply.informational).toMatchObject([{ ':status': 103, link: '</a.css>; rel=preload; as=style' }])
    expect(reply).toMatchObject({ status: 200, body: 'ok' })
  })

  it('has no body for HEAD, 204 and 304, and keeps the length that it would have', async () => {
    const { port, completed } = await edge2(
      await answering((response, { url }) => {
        const status = Number(url!.slice(1))
        response.writeHead(status, status === 200 ? { 'content-length': 5 } : {}).end()
      }),
    )
    const session = http2Session(port)
    const head = await send2(session, { ':method': 'HEAD', ':path': '/200' })
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': '5' }, body: '', code: 0 })
    for (const status of [204, 304])
      expect(await send2(session, { ':path': `/${status}` })).toMatchObject({ status, body: '', code: 0 })
    for (const { lb, http } of await completed(3)) expect([lb.result, http.response.body.size]).toEqual(['ok', 0])
  })

  it.each(['content-length', 'chunked'] as const)(
    'is reset where the backend is cut off, and no other stream with it: %s',
    async (framing) => {
      const backend = await rawBackend((socket, head) => {
        if (head.startsWith('GET /slow')) {
          setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'), 20)
          return
        }
        socket.end(halfResponses[framing])
      })
      const { port, completed } = await edge2(backend)
      const session = http2Session(port)
      const [slow, cut] = await Promise.all([send2(session, { ':path': '/slow' }), send2(session)])
      expect(cut).toMatchObject({ status: 200, body: 'half.', code: constants.NGHTTP2_INTERNAL_ERROR })
      expect(slow).toMatchObject({ status: 200, body: 'ok', code: 0 })
      expect((await completed(2)).map(({ lb }) => lb.result).sort()).toEqual(['backend-cut', 'ok'])
      expect(await send2(session, { ':path': '/slow' })).toMatchObject({ status: 200 })
    },
  )

  it('tells of a failure', async () => {
    const { port, one } = await edge2(await refusing())
    const reply = await send2(http2Session(port))
    expect(reply).toMatchObject({ status: 502, code: 0 })
    expect(JSON.parse(reply.body)).toMatchObject({ error: { code: 'connect-refused' } })
    expect(await one()).toMatchObject({ lb: { result: 'connect-refused' } })
  })

  it('is complete, and its stream closed, though the client goes on sending its body', async () => {
    const backend = await rawBackend((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
    const { port, one } = await edge2(backend)
    const post = [[':method', 'POST'], ...get.slice(1)] as const
    const client = await frameClient(port, headersFrame(1, post, false), dataFrame(1, 'begun', false))
    expect(await client.over(1)).toBe(0)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 200 } } })
    await until(() => client.frames().some(({ type, id }) => type === frameTypes.reset && id === 1))
    const reset = client.frames().find(({ type }) => type === frameTypes.reset)!
    expect(reset.payload.readUInt32BE()).toBe(constants.NGHTTP2_NO_ERROR)
  })

  it('ends the session gracefully while the balancer closes', async () => {
    let answer: (() => void) | undefined
    const backend = await answering((response) => {
      answer = () => response.end('late')
    })
    const { port, balancer, completed } = await edge2(backend)
    const session = http2Session(port)
    const reply = send2(session)
    await until(() => answer !== undefined)
    const closing = balancer.close()
    const refused = await send2(session)
    expect(refused).toMatchObject({ status: 503 })
    await until(() => session.closed)
    answer!()
    expect(await reply).toMatchObject({ status: 200, body: 'late', code: 0 })
    await closing
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['closing', 'ok'])
    await until(() => session.destroyed)
  })
})

describe('a client that breaks a stream off', () => {
  for (const code of [constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR])
    for (const begun of [false, true])
      it(`cancels its request to the backend, by code ${code}, ${begun ? 'within' : 'before'} the response`, async () => {
        const asked: string[] = []
        const backend = await httpBackend((request, response) => {
          asked.push(request.url!)
          if (begun) response.write('some')
        })
        const { port, one } = await edge2(backend)
        const client = await frameClient(port, headersFrame(1, get))
        await until(
          () => asked.length === 1 && (!begun || client.frames().some(({ type }) => type === frameTypes.data)),
        )
        client.write(resetFrame(1, code))
        await until(() => backend.sockets.size === 0)
        expect(await one()).toMatchObject({
          lb: { result: 'client-gone', ended_by: 'client' },
          http: { response: { status_code: 499 } },
        })
        expect(client.socket.destroyed).toBe(false)
      })

  it.each([constants.NGHTTP2_CANCEL, constants.NGHTTP2_NO_ERROR])(
    'within its body never makes that look whole to the backend: code %i',
    async (code) => {
      let ended = false
      let seen = ''
      const backend = await httpBackend((request) => {
        request.on('error', () => undefined)
        request.on('data', (chunk: Buffer) => {
          seen += chunk
        })
        request.on('end', () => {
          ended = true
        })
      })
      const { port, one } = await edge2(backend)
      const post = [[':method', 'POST'], ...get.slice(1)] as const
      const client = await frameClient(port, headersFrame(1, post, false), dataFrame(1, 'half', false))
      await until(() => seen === 'half')
      client.write(resetFrame(1, code))
      await until(() => backend.sockets.size === 0)
      expect(ended).toBe(false)
      expect(await one()).toMatchObject({ lb: { result: 'client-gone' }, http: { request: { body: { size: 4 } } } })
    },
  )

  it('of HEAD is recorded as gone', async () => {
    const backend = await httpBackend(() => undefined)
    const { port, one } = await edge2(backend)
    const client = await frameClient(port, headersFrame(1, [[':method', 'HEAD'], ...get.slice(1)]))
    await until(() => backend.sockets.size === 1)
    client.write(resetFrame(1))
    expect(await one()).toMatchObject({ lb: { result: 'client-gone' } })
  })

  it('by closing the connection leaves no request open', async () => {
    const backend = await httpBackend(() => undefined)
    const { port, completed } = await edge2(backend)
    const client = await frameClient(port, headersFrame(1, get), headersFrame(3, get))
    await until(() => backend.sockets.size === 2)
    client.socket.resetAndDestroy()
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['client-gone', 'client-gone'])
    await until(() => backend.sockets.size === 0)
  })

  it('at once is recorded with its address', async () => {
    const { port, one } = await edge2(await answering())
    await frameClient(port, headersFrame(1, get), resetFrame(1))
    expect(await one()).toMatchObject({ client: { address: '127.0.0.1' }, lb: { result: 'client-gone' } })
  })

  it('5,000 times has its session ended, with a record', async () => {
    const backend = await answering()
    const { port, denied, completions, balancer } = await edge2(backend)
    const client = await frameClient(port)
    for (let i = 0; i < 5000 && !client.socket.destroyed; i += 50) {
      const frames: Buffer[] = []
      for (let n = i; n < i + 50; n++) frames.push(headersFrame(2 * n + 1, get), resetFrame(2 * n + 1))
      client.write(Buffer.concat(frames))
      await new Promise((resolve) =>
        client.socket.writableNeedDrain ? client.socket.once('drain', resolve) : setImmediate(resolve),
      )
    }
    await client.ended
    const goaway = client.frames().find(({ type }) => type === frameTypes.goaway)!
    expect(goaway.payload.readUInt32BE(4)).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    expect(await denied()).toMatchObject([
      {
        access: { rule: 'http2-resets', phase: 'connection', detail: expect.stringMatching(/^201 of \d+ streams$/) },
        client: { address: '127.0.0.1' },
      },
    ])
    await until(() => balancer.snapshot().inFlight === 0)
    expect(completions().length).toBeGreaterThan(200)
    expect(completions().length).toBeLessThan(1500)
    expect(new Set(completions().map(({ client }) => client.address))).toEqual(new Set(['127.0.0.1']))
  })

  it('5,000 times by making us reset it has its session ended too', async () => {
    const { port, denied } = await edge2(await httpBackend(() => undefined))
    const client = await frameClient(port)
    // An increment of 0 is an error of the stream (RFC 9113 section 6.9).
    const bad = (id: number): Buffer => frame(frameTypes.windowUpdate, 0, id, Buffer.alloc(4))
    for (let n = 0; n < 5000 && !client.socket.destroyed; n++) {
      client.write(Buffer.concat([headersFrame(2 * n + 1, get), bad(2 * n + 1)]))
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await client.ended
    expect(await denied()).toMatchObject([{ access: { rule: expect.stringMatching(/^(http2-resets|malformed)$/) } }])
  })

  it('now and then, among many that end well, keeps its session', async () => {
    const { port, completed, denials } = await edge2(await answering())
    const session = http2Session(port)
    for (let i = 0; i < 210; i++) {
      const stream = session.request({ ':path': '/' })
      stream.on('error', () => undefined)
      stream.close(constants.NGHTTP2_CANCEL)
      await Promise.all([send2(session), send2(session)])
    }
    expect(session.destroyed).toBe(false)
    await completed(630)
    expect(denials()).toEqual([])
  })
})

describe('what HTTP/1 would read as something else', () => {
  const withField = (name: string, value: string) => [...get, [name, value] as const]
  const withPath = (path: string) => get.map(([name, value]) => [name, name === ':path' ? path : value] as const)
  const withAuthority = (authority: string) =>
    get.map(([name, value]) => [name, name === ':authority' ? authority : value] as const)
  const second = 'GET /second HTTP/1.1\r\nHost: a\r\n\r\n'
  const cases: Record<string, ReturnType<typeof withField>> = {
    'a line break in a value': withField('x-a', `a\r\n\r\n${second}`),
    'a line feed in a value': withField('x-a', 'a\nx-b: c'),
    'a NUL in a value': withField('x-a', 'a\0b'),
    'a control character in a value': withField('x-a', 'a\x01b'),
    'a capital in a name': withField('X-A', '1'),
    'a colon in a name': withField('x-a: 1\r\nx-b', '1'),
    'a space in a name': withField('x a', '1'),
    'a name that is empty': withField('', '1'),
    'Transfer-Encoding': withField('transfer-encoding', 'chunked'),
    'Transfer-Encoding with a space': withField('transfer-encoding ', 'chunked'),
    Connection: withField('connection', 'close, content-length'),
    'Keep-Alive': withField('keep-alive', 'timeout=5'),
    Upgrade: withField('upgrade', 'websocket'),
    'a TE other than trailers': withField('te', 'gzip, trailers'),
    'a Content-Length that is none': withField('content-length', '+5'),
    'a Content-Length without a body': withField('content-length', '5'),
    'two of Content-Length': [...withField('content-length', '0'), ['content-length', '5']],
    'two of Host': [...withField('host', 'a'), ['host', 'b']],
    'another Host': withField('host', 'other.test'),
    'a path with a space': withPath('/a HTTP/1.1'),
    'a path with a line break': withPath(`/ HTTP/1.1\r\nHost: a\r\n\r\n${second}`),
    'a path without a slash': withPath('x'),
    'a path that is empty': withPath(''),
    'a path in absolute form': withPath('http://other.test/x'),
    'a path with a fragment': withPath('/x#y'),
    'a path that is an asterisk': withPath('*'),
    'two paths': [...get, [':path', '/second']],
    'a method with a space': [[':method', 'GET /second HTTP/1.1\r\n\r\nGET'], ...get.slice(1)],
    'an authority with a line break': withAuthority('a\r\nx-b: c'),
    'an authority with a user': withAuthority('user@edge.test'),
    'an authority with a path': withAuthority('edge.test/x'),
    'no authority and no host': get.slice(0, 3),
    'an extended CONNECT': [[':method', 'CONNECT'], [':protocol', 'websocket'], ...get.slice(1)],
    'a pseudo field that is none': [...get.slice(0, 4), [':x', '1']],
    'a pseudo field after the others': [['x-a', '1'], ...get],
    'a pseudo field of responses': [...get, [':status', '200']],
  }

  it.each(Object.entries(cases))(
    '%s never makes more than one well-formed head at the backend',
    async (_name, fields) => {
      const backend = await rawBackend((socket) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'))
      const { port, completions, denials, balancer } = await edge2(backend)
      const client = await frameClient(port, headersFrame(1, fields))
      await client.over(1)
      // One that is in order afterwards: its session has come to no harm, and what was refused has its line by now.
      client.write(headersFrame(3, get))
      expect(await client.over(3)).toBe(0)
      await until(() => balancer.snapshot().inFlight === 0)
      const heads = backend.received.join('')
      const last = heads.lastIndexOf('GET / HTTP/1.1\r\n')
      const before = heads.slice(0, last)
      expect(before).toMatch(
        /^(?:[A-Z]+ \/[!-~]* HTTP\/1\.1\r\n(?:[!#$%&'*+.^`|~\w-]+: ?[\t -~\x80-\xff]*\r\n)+\r\n)?$/,
      )
      expect(heads).not.toMatch(/second|transfer-encoding|x-b/i)
      expect(completions().length + denials().reduce((sum, { access }) => sum + (access.count ?? 1), 0)).toBe(2)
    },
  )

  it('DATA that disagrees with Content-Length breaks the stream off, and the backend sees no whole request', async () => {
    let ended = 0
    const backend = await httpBackend((request, response) => {
      request.on('error', () => undefined)
      request.on('end', () => {
        ended++
        response.end()
      })
      request.resume()
    })
    const { port, completed } = await edge2(backend)
    const post = [[':method', 'POST'], ...get.slice(1), ['content-length', '5']] as const
    const client = await frameClient(port, headersFrame(1, post, false), dataFrame(1, 'abcdefgh', true))
    expect(await client.over(1)).toBe(constants.NGHTTP2_PROTOCOL_ERROR)
    client.write(Buffer.concat([headersFrame(3, post, false), dataFrame(3, 'abc', true)]))
    expect(await client.over(3)).toBe(constants.NGHTTP2_PROTOCOL_ERROR)
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['client-gone', 'client-gone'])
    expect(ended).toBe(0)
  })
})

describe('a server of HTTP/2', () => {
  it('speaks HTTP/1.1 too where it is encrypted', async () => {
    const backend = await answering()
    const record = recorded({ backends: [backend] })
    const server = createServer(record.balancer, { http2: true, tls: selfSigned() })
    closeAfterTest(server)
    const port = await listen(server)
    expect(await send2(http2Session(port, true))).toMatchObject({ status: 200 })
    const old = await fetchOver(port)
    expect(old).toMatch(/^HTTP\/1\.1 200 /)
    expect(backend.seen.map(({ rawHeaders }) => valuesOf(rawHeaders, 'x-forwarded-proto'))).toEqual([
      ['https'],
      ['https'],
    ])
    expect((await record.completed(2)).map(({ network }) => network.protocol?.version)).toEqual(['2', '1.1'])
    expect(record.completions().map(({ tls }) => tls?.protocol.version)).toEqual(['1.3', '1.3'])
  })

  it.each([false, true])('cuts off a denied address: encrypted %s', async (secure) => {
    const record = recorded({ backends: [], access: { deny: ['127.0.0.0/8'] } })
    const tls = secure ? selfSigned() : undefined
    const server =
      tls === undefined
        ? createServer(record.balancer, { http2: true })
        : createServer(record.balancer, { http2: true, tls })
    closeAfterTest(server)
    const session = http2Session(await listen(server), secure)
    await new Promise((resolve) => session.once('close', resolve))
    expect(await record.denied()).toMatchObject([{ access: { rule: 'access.deny', phase: 'connection' } }])
  })

  it('records what is no HTTP/2', async () => {
    const { port, denied } = await edge2(await answering())
    await expect(send(port)).rejects.toThrow()
    expect(await denied()).toMatchObject([
      { access: { rule: 'malformed', phase: 'connection', detail: 'Received bad client magic byte string' } },
    ])
  })

  it('records a session that ends by an error', async () => {
    const { port, denied } = await edge2(await answering())
    // A request by an even number is an error of the connection (RFC 9113 section 5.1.1).
    const client = await frameClient(port, headersFrame(2, get))
    await client.ended
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed' }, client: { address: '127.0.0.1' } }])
  })

  it('ends a session that answers nothing any more, with a record', async () => {
    const clock = fakeClock()
    const { port, server, denied } = await edge2(await answering(), { clock })
    // DATA on stream 0: nghttp2 says goodbye, and Node tells nobody (RFC 9113 section 6.1).
    const client = await frameClient(port, dataFrame(0, 'x'))
    await until(() => client.frames().some(({ type }) => type === frameTypes.goaway))
    clock.advance(30_000)
    clock.advance(30_000)
    expect(await denied()).toMatchObject([{ access: { rule: 'http2-unanswered' }, client: { address: '127.0.0.1' } }])
    await client.ended
    expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0)
  })

  it('keeps a session that is idle, and answers', async () => {
    const clock = fakeClock()
    const { port, denials } = await edge2(await answering(), { clock })
    const session = http2Session(port)
    let pings = 0
    session.on('ping', () => pings++)
    expect(await send2(session)).toMatchObject({ status: 200 })
    for (let i = 1; i <= 3; i++) {
      clock.advance(30_000)
      await until(() => pings === i)
      expect(await send2(session)).toMatchObject({ status: 200 })
    }
    expect(denials()).toEqual([])
  })
})

async function fetchOver(port: number): Promise<string> {
  const { connect } = await import('node:tls')
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}
