// The gate: what is not well-formed is refused with 400, closes its connection, reaches no backend, and has its line.
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { inspect, type RequestHead } from '../../src/proxy/gate.ts'
import { limitsSchema } from '../../src/proxy/limits.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { edge, recorded } from '../support/edge.ts'
import { rawExchange, valuesOf } from '../support/raw-client.ts'

const get = (target: string, more = '') => `GET ${target} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
const post = (head: string, body: string) => `POST / HTTP/1.1\r\nHost: a\r\n${head}\r\n\r\n${body}`

/** What Node's parser lets through, and we do not. */
const byTheGate: Record<string, string> = {
  'two Host lines': 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
  'two equal Host lines': 'GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n',
  'a Host with a path': 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n',
  'a Host with a user': 'GET / HTTP/1.1\r\nHost: me@a\r\n\r\n',
  'a Host with a space': 'GET / HTTP/1.1\r\nHost: a b\r\n\r\n',
  'a fragment': get('/x#f'),
  'a backslash': get('/\\evil'),
  'the asterisk': 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'the asterisk in absolute form': 'OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n',
  'a Host with two ports': 'GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n',
  'a Host with half an address': 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n',
  'an authority with half an address': get('http://[::1/'),
  'HTTP/0.9': 'GET / HTTP/0.9\r\nHost: a\r\n\r\n',
  'a line without a version': 'GET /\r\n\r\n',
  'HTTP/2.0 on a connection of HTTP/1': 'GET / HTTP/2.0\r\nHost: a\r\n\r\n',
  'a Content-Length that others may read as octal': post('Content-Length: 010', '0123456789'),
  'a URL of another scheme': get('ftp://a/x'),
  'a URL with a user': get('http://me:pw@a/x'),
  'a URL without a host': get('http:///x'),
  'Transfer-Encoding in HTTP/1.0': 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'Transfer-Encoding: gzip, chunked': post('Transfer-Encoding: gzip, chunked', '0\r\n\r\n'),
  'Transfer-Encoding: identity': post('Transfer-Encoding: identity', 'ab'),
  'two Transfer-Encodings': post('Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
}

/** What Node's parser refuses by itself. */
const byTheParser: Record<string, string> = {
  'Transfer-Encoding with Content-Length': post('Transfer-Encoding: chunked\r\nContent-Length: 5', '0\r\n\r\n'),
  'Content-Length with Transfer-Encoding': post('Content-Length: 5\r\nTransfer-Encoding: chunked', '0\r\n\r\n'),
  'two Content-Lengths': post('Content-Length: 1\r\nContent-Length: 2', 'ab'),
  'two equal Content-Lengths': post('Content-Length: 2\r\nContent-Length: 2', 'ab'),
  'a Content-Length that is a list': post('Content-Length: 2, 2', 'ab'),
  'a Content-Length with a sign': post('Content-Length: +2', 'ab'),
  'a control character in the target': get('/a\x01b'),
  'bytes above ASCII in the target': get('/\xe9\xff'),
  'a NUL in the target': get('/a\x00b'),
  'a control character in a header': get('/', 'X-A: a\x01b\r\n'),
  'a NUL in a header': get('/', 'X-A: a\x00b\r\n'),
  'a lone CR in a header': get('/', 'X-A: a\rX-B: b\r\n'),
  'a space before a colon': get('/', 'X-A : a\r\n'),
  'a folded header': get('/', 'X-A: a\r\n b\r\n'),
  'another version': 'GET / HTTP/3.7\r\nHost: a\r\n\r\n',
  'no HTTP at all': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'a target without a path': get('x'),
}

describe('the gate refuses', () => {
  for (const [name, text] of Object.entries(byTheGate)) {
    it(name, async () => {
      const backend = await answering()
      const { port, completed, denials } = await edge([backend])
      // Where the parser itself takes the request for the last one of its connection, nothing can follow.
      const isLast = /HTTP\/[012]\.[09]|GET \/\r|identity/.test(text)
      const reply = await rawExchange(port, isLast ? text : `${text}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect(reply).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
      expect(reply).toMatch(/\r\nconnection: close\r\n/i)
      expect(reply.match(/HTTP\/1\.1 /g)).toHaveLength(1)
      const [event, smuggled] = await completed(isLast ? 1 : 2)
      expect(event).toMatchObject({
        lb: { result: 'malformed', detail: expect.any(String), ended_by: 'balancer', attempts: [] },
        http: { response: { status_code: 400 } },
        outcome: 'failure',
        client: { address: '127.0.0.1' },
      })
      if (!isLast)
        expect(smuggled).toMatchObject({
          lb: { result: 'malformed', detail: 'it follows a request that is not well-formed' },
        })
      if (!isLast) expect(denials()).toEqual([])
      expect(backend.seen).toEqual([])
    })
  }
})

describe('the parser refuses', () => {
  for (const [name, text] of Object.entries(byTheParser)) {
    it(name, async () => {
      const backend = await answering()
      const { port, balancer, denied, completions } = await edge([backend])
      const reply = await rawExchange(port, text)
      expect(reply).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n/)
      expect(await denied()).toMatchObject([
        {
          access: { rule: 'malformed', phase: 'connection', detail: expect.any(String) },
          client: { address: '127.0.0.1' },
        },
      ])
      expect(completions().filter(({ lb }) => lb.result === 'ok')).toEqual([])
      expect(balancer.snapshot().inFlight).toBe(0)
      expect(backend.accepted()).toBe(0)
    })
  }

  it('a head that is too large: 431', async () => {
    const { port, denied } = await edge([await answering()])
    const reply = await rawExchange(port, get('/', `X-Large: ${'x'.repeat(70_000)}\r\n`))
    expect(reply).toMatch(/^HTTP\/1\.1 431 /)
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed', detail: 'HPE_HEADER_OVERFLOW' } }])
  })
})

describe('the gate lets in', () => {
  it('a target in absolute form, as a path with the authority as Host', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend])
    for (const target of ['http://shop.example:81/x?y=1', 'HTTPS://shop.example', 'http://shop.example?q'])
      expect(await rawExchange(port, get(target, 'Connection: close\r\n'))).toMatch(/^HTTP\/1\.1 200 /)
    expect(backend.seen.map(({ url, rawHeaders }) => [url, ...valuesOf(rawHeaders, 'host')])).toEqual([
      ['/x?y=1', 'shop.example:81'],
      ['/', 'shop.example'],
      ['/?q', 'shop.example'],
    ])
    await completed(3)
  })

  it('a target in absolute form whose authority is another than Host: the authority counts', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    const text = 'GET http://real.example:81/x HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n'
    expect(await rawExchange(port, text)).toMatch(/^HTTP\/1\.1 200 /)
    const { url, rawHeaders } = backend.seen[0]!
    expect([url, ...valuesOf(rawHeaders, 'host')]).toEqual(['/x', 'real.example:81'])
    expect(valuesOf(rawHeaders, 'x-forwarded-host')).toEqual(['real.example:81'])
  })

  it.each(['/a/../b', '/a/./b', '/a/%2e%2e/b', '/..', '/a/..%2fb', '/...', '/a%00b', '/%'])(
    '%s at the root, as it is',
    async (target) => {
      const backend = await answering()
      const { port } = await edge([backend])
      await rawExchange(port, get(target, 'Connection: close\r\n'))
      expect(backend.seen).toMatchObject([{ url: target }])
    },
  )

  it.each(['a', 'a:81', '[::1]', '[::1]:81', '127.0.0.1:1', 'xn--bcher-kva.example', 'under_score', '', 'a:'])(
    'a Host of %j',
    async (host) => {
      const backend = await answering()
      const { port } = await edge([backend])
      expect(await rawExchange(port, `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)).toMatch(/ 200 /)
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual([host || `127.0.0.1:${backend.port}`])
    },
  )

  it('what names a protocol but asks for no switch, as a request without that', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    for (const more of ['Upgrade: websocket\r\nConnection: close\r\n', 'Connection: upgrade, close\r\n'])
      expect(await rawExchange(port, get('/', more))).toMatch(/^HTTP\/1\.1 200 /)
    for (const { rawHeaders } of backend.seen)
      expect([...valuesOf(rawHeaders, 'upgrade'), ...valuesOf(rawHeaders, 'connection')].join()).not.toMatch(
        /upgrade|web/i,
      )
  })

  it('a path of two slashes, as the path that it is', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(port, get('//evil.example/x', 'Connection: close\r\n'))
    expect(backend.seen).toMatchObject([{ url: '//evil.example/x' }])
  })

  it('Transfer-Encoding: Chunked in any case', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(port, post('Connection: close\r\nTransfer-Encoding: Chunked', '2\r\nab\r\n0\r\n\r\n'))
    expect(backend.seen).toMatchObject([{ body: 'ab' }])
  })
})

describe('what follows a refusal on the same connection', () => {
  it('is not looked at', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend])
    const text = await rawExchange(port, get('/ok') + get('/bad#') + get('/never'))
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400'])
    expect((await completed(3)).map(({ lb }) => lb.result).sort()).toEqual(['malformed', 'malformed', 'ok'])
    expect(backend.seen).toMatchObject([{ url: '/ok' }])
  })

  it('is looked at where the refusal was for no fault of the request', async () => {
    const { port, completed } = await edge([])
    const text = await rawExchange(port, get('/1') + get('/2', 'Connection: close\r\n'))
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 503', 'HTTP/1.1 503'])
    await completed(2)
  })
})

describe('below a mount', () => {
  const mounted = async (original: string, target: string) => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend] })
    const server = createServer((request, response) =>
      balancer.port.handle(request, response, { target, originalTarget: original }),
    )
    closeAfterTest(server)
    const reply = await rawExchange(await listen(server), get('/', 'Connection: close\r\n'))
    return { reply, event: await one(), backend }
  }

  it.each(['/../b', '/a/..', '/%2e%2E/b', '/a%2f..%2Fb', '/a\\..\\b', '/..;x/b', '/a/.', '/a%5c..'])(
    '%s is refused, for a backend would leave it',
    async (target) => {
      const { reply, event, backend } = await mounted(`/mount${target}`, target)
      expect(reply).toMatch(/^HTTP\/1\.1 400 /)
      expect(event.lb.result).toBe('malformed')
      expect(backend.accepted()).toBe(0)
    },
  )

  it.each(['/...', '/a..', '/..a/b', '/a?x=/../b', '/.well-known/x', '/a/..b'])('%s is let in', async (target) => {
    const { reply, backend } = await mounted(`/mount${target}`, target)
    expect(reply).toMatch(/^HTTP\/1\.1 200 /)
    expect(backend.seen).toMatchObject([{ url: target }])
  })
})

describe('what the parser of another server might hand over', () => {
  const limits = limitsSchema.parse({})
  const head = { method: 'GET', url: '/', httpVersion: '1.1', rawHeaders: ['Host', 'a'] }
  const look = (given: Partial<RequestHead>, more: readonly string[] = []) =>
    inspect({ ...head, ...given, rawHeaders: [...(given.rawHeaders ?? head.rawHeaders), ...more] }, 'us', limits)
  const malformed = { result: 'malformed' }
  const open = { endAfterHeaders: false }
  const ended = { endAfterHeaders: true }
  const two = { httpVersion: '2.0', rawHeaders: [':method', 'GET', ':path', '/', 'host', 'a'] }

  it.each([
    ['a method that is no token', { method: 'G T' }, []],
    ['an empty method', { method: '' }, []],
    ['a name that is no token', {}, ['X A', '1']],
    ['an empty name', {}, ['', '1']],
    ['a name of HTTP/2 in HTTP/1', {}, [':path', '/']],
    ['a line end in a value', {}, ['X-A', 'a\r\nX-B: b']],
    ['both lengths', {}, ['Content-Length', '1', 'Transfer-Encoding', 'chunked']],
    ['both lengths, the other way round', {}, ['Transfer-Encoding', 'chunked', 'Content-Length', '1']],
    ['two equal lengths', {}, ['Content-Length', '1', 'content-length', '1']],
    ['a list of lengths', {}, ['Content-Length', '1, 1']],
    ['a sign', {}, ['Content-Length', '+1']],
    ['a target beyond ASCII', { url: '/\xe9' }, []],
    ['CONNECT', { method: 'CONNECT' }, []],
    ['an upgrade with a length', { upgrade: true }, ['Content-Length', '1']],
    ['an upgrade with chunks', { upgrade: true }, ['Transfer-Encoding', 'chunked']],
    ['HTTP/2 with Connection', { ...two, stream: ended }, ['connection', 'close']],
    ['HTTP/2 with Transfer-Encoding', { ...two, stream: open }, ['transfer-encoding', 'chunked']],
    ['HTTP/2 with Upgrade', { ...two, stream: ended }, ['upgrade', 'websocket']],
    ['HTTP/2 with Keep-Alive', { ...two, stream: ended }, ['keep-alive', 'timeout=1']],
    ['HTTP/2 with another TE than trailers', { ...two, stream: ended }, ['te', 'gzip']],
  ] as const)('is refused: %s', (_name, given, more) => {
    expect(look(given, more)).toMatchObject(malformed)
  })

  it.each([
    ['an upgrade', { upgrade: true }, [], 'none', 0],
    ['an upgrade that says that it has no body', { upgrade: true }, ['Content-Length', '0'], 'none', 0],
    ['HTTP/2 without a body', { ...two, stream: ended }, ['te', 'trailers'], 'none', 0],
    ['HTTP/2 with a body of no length', { ...two, stream: open }, [], 'chunked', undefined],
    ['HTTP/2 with a length', { ...two, stream: open }, ['content-length', '5'], 'length', 5],
    ['names with underscores', {}, ['X_A', '1'], 'none', 0],
  ] as const)('is let in: %s', (_name, given, more, body, length) => {
    expect(look(given, more)).toEqual({ target: '/', host: 'a', body, length })
  })
})
