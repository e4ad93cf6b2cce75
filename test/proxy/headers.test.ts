// What of a request and a response goes on, and what the hop says anew.
import { describe, expect, it } from 'vitest'
import { answering, saying } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { namesOf, rawExchange, send, valuesOf } from '../support/raw-client.ts'

describe('a request', () => {
  it('passes with its method, path and query as they came', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    await send(port, { method: 'PATCH', path: '/a%2Fb//c/../d?x=1&x=2&y=%00?', body: 'new' })
    expect(backend.seen).toMatchObject([{ method: 'PATCH', url: '/a%2Fb//c/../d?x=1&x=2&y=%00?', body: 'new' }])
    expect(await one()).toMatchObject({
      lb: { result: 'ok', ended_by: 'backend' },
      http: { request: { method: 'PATCH', body: { size: 3 } }, response: { status_code: 200, body: { size: 2 } } },
      url: { path: '/a%2Fb//c/../d' },
      outcome: 'success',
    })
  })

  it('keeps duplicate headers, their order, their case and their bytes', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await send(port, {
      headers: ['X-Dup', 'one', 'x-DUP', 'two', 'Accept', 'a', '__proto__', 'p', 'X-Latin', 'caf\xe9'],
    })
    const [{ rawHeaders }] = backend.seen as [(typeof backend.seen)[0]]
    expect(rawHeaders.slice(4, 14)).toEqual([
      'X-Dup',
      'one',
      'x-DUP',
      'two',
      'Accept',
      'a',
      '__proto__',
      'p',
      'X-Latin',
      'caf\xe9',
    ])
  })

  it('keeps the Host of the client', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await send(port, { headers: ['Host', 'shop.example:8080'] })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual(['shop.example:8080'])
  })

  it('gets the Host of the backend where that is configured', async () => {
    const backend = await answering()
    const { port } = await edge([backend], { host: 'backend' })
    await send(port, { headers: ['Host', 'shop.example'] })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual([`127.0.0.1:${backend.port}`])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-host')).toEqual(['shop.example'])
  })

  it('loses what is for one connection only, and what its Connection lines name', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(
      port,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, , close\r\nconnection:,X-Two,\r\nKeep-Alive: timeout=5\r\n' +
        'Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: gzip;q=0.5\r\nUpgrade: h2c\r\n' +
        'HTTP2-Settings: AAMAAABkAAQAAP__\r\nTrailer: x-t\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n\r\n',
    )
    const names = namesOf(backend.seen[0]!.rawHeaders).map((name) => name.toLowerCase())
    const ours = ['via', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host', 'x-forwarded-port', 'x-request-id']
    expect(names).toEqual(
      ['host', 'connection', 'x-three', ...ours].sort((a, b) => names.indexOf(a) - names.indexOf(b)),
    )
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'connection')).toEqual(['keep-alive'])
  })

  it('does not lose its framing or its Host because Connection names them', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(
      port,
      'POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length, host, close\r\nContent-Length: 3\r\n\r\nabc',
    )
    expect(backend.seen).toMatchObject([{ method: 'POST', body: 'abc' }])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual(['a'])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'content-length')).toEqual(['3'])
  })

  it.each([
    ['trailers', ['trailers']],
    ['Trailers', ['trailers']],
    ['gzip;q=0.5, trailers', ['trailers']],
    ['trailers\r\nTE: trailers', ['trailers']],
    ['trailers;q=0', []],
    ['deflate', []],
    ['', []],
  ])('keeps of TE what is for the whole way, once, though Connection must name it: %j', async (value, expected) => {
    const backend = await answering()
    const { port } = await edge([backend])
    await rawExchange(port, `GET / HTTP/1.1\r\nHost: a\r\nTE: ${value}\r\nConnection: TE, close\r\n\r\n`)
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'te')).toEqual(expected)
  })

  it('cannot take off what we say by naming it in Connection', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend], { forwarded: 'both' })
    const ours = ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-port', 'forwarded']
    const named = [...ours, 'x-request-id', 'via', 'Host', 'X-Real-Ip', 'X-Client'].join(', ')
    await rawExchange(
      port,
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${named}\r\nConnection: close, ,\r\nVia: 1.1 other\r\nX-Client: 1\r\n\r\n`,
    )
    const { rawHeaders } = backend.seen[0]!
    for (const name of [...ours, 'x-request-id', 'via', 'host']) expect(valuesOf(rawHeaders, name)).toHaveLength(1)
    expect(valuesOf(rawHeaders, 'host')).toEqual(['a'])
    expect(valuesOf(rawHeaders, 'x-client')).toEqual([])
    expect((await one()).lb.result).toBe('ok')
  })

  it.each([
    ['Connection', ['Upgrade', 'h2c']],
    ['connection:,,X-A,;,', ['X-A', '1']],
    ['Connection: __proto__, constructor', ['__proto__', 'p', 'Constructor', 'c']],
    ['CONNECTION: \tx-a\t', ['X-A', '1']],
    ['Connection: cookie, Authorization', ['Cookie', 'a=1', 'Authorization', 'Basic x']],
  ])('loses what an odd Connection names, and nothing else: %j', async (line, headers) => {
    const backend = await answering()
    const { port } = await edge([backend])
    const first = line.includes(':') ? line : `${line}: upgrade-insecure-requests`
    const fields = headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
    await rawExchange(port, `GET / HTTP/1.1\r\nHost: a\r\n${first}\r\n${fields}X-Kept: 1\r\nConnection: close\r\n\r\n`)
    const names = namesOf(backend.seen[0]!.rawHeaders).map((name) => name.toLowerCase())
    for (const name of headers.filter((_, i) => i % 2 === 0)) expect(names).not.toContain(name.toLowerCase())
    expect(names).toContain('x-kept')
  })

  it('loses aliases of ours that a backend could take for them', async () => {
    const backend = await answering()
    const { port } = await edge([backend], { trustProxy: ['loopback'] })
    const aliases = [
      'X_Forwarded_For',
      'x-forwarded_proto',
      'X_FORWARDED-Host',
      'X_Real_IP',
      'X_Request_Id',
      'X_Mirrored',
    ]
    await send(port, { headers: aliases.flatMap((name) => [name, 'forged']) })
    expect(backend.seen[0]!.rawHeaders).not.toContain('forged')
  })

  it('cannot say by itself where it comes from', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await send(port, {
      headers: ['X-Forwarded-For', '6.6.6.6', 'x-forwarded-for', '7.7.7.7', 'X-Forwarded-Proto', 'https'].concat([
        'X-Forwarded-Host',
        'evil',
        'X-Forwarded-Port',
        '1',
        'Forwarded',
        'for=6.6.6.6',
        'X-Real-IP',
        '6.6.6.6',
      ]),
    })
    const { rawHeaders } = backend.seen[0]!
    expect(valuesOf(rawHeaders, 'x-forwarded-for')).toEqual(['127.0.0.1'])
    expect(valuesOf(rawHeaders, 'x-forwarded-proto')).toEqual(['http'])
    expect(valuesOf(rawHeaders, 'x-forwarded-host')).toEqual(['edge.test'])
    expect(valuesOf(rawHeaders, 'x-forwarded-port')).toEqual([String(port)])
    expect([...valuesOf(rawHeaders, 'forwarded'), ...valuesOf(rawHeaders, 'x-real-ip')]).toEqual([])
  })

  it('gets our name at the end of Via', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    await send(port, { headers: ['Via', '1.0 fred', 'via', '1.1 p.example'] })
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'via')).toEqual([
      expect.stringMatching(/^1\.0 fred, 1\.1 p\.example, 1\.1 auditlb-[0-9a-f]+$/),
    ])
  })

  it('that comes back to the same balancer is a loop: 508', async () => {
    const target = await answering()
    const { port, balancer, completed } = await edge([target])
    await balancer.as({ id: 'test', type: 'system' }).update({ backends: [`http://127.0.0.1:${port}`] })
    expect(await send(port)).toMatchObject({ status: 508 })
    const [inner, outer] = await completed(2)
    expect(inner).toMatchObject({ lb: { result: 'loop', attempts: [] }, http: { response: { status_code: 508 } } })
    expect(outer).toMatchObject({ lb: { result: 'ok' }, http: { response: { status_code: 508 } } })
    expect(target.seen).toEqual([])
  })

  it('gets an id of ours; the one of the client is kept apart in the record', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    const reply = await send(port, { headers: ['X-Request-Id', 'mine\t1'] })
    const event = await one()
    expect(event.lb.client_request_id).toBe('mine?1')
    expect(event.lb.request_id).not.toContain('mine')
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-request-id')).toEqual([event.lb.request_id])
    expect(valuesOf(reply.rawHeaders, 'x-request-id')).toEqual([event.lb.request_id])
  })
})

describe('an interim response', () => {
  it('loses what is for one connection only, and what its Connection lines name', async () => {
    const backend = await saying(
      'HTTP/1.1 103 Early Hints\r\nConnection: link\r\nLink: </evil>; rel=preload\r\n\r\n' +
        'HTTP/1.1 103 Early Hints\r\nConnection: x-a\r\nX-A: 1\r\nKeep-Alive: timeout=1\r\nLink: </a>; rel=preload\r\n\r\n' +
        'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    )
    const { port } = await edge([backend])
    const text = await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(text).not.toMatch(/evil|x-a|keep-alive/i)
    expect(text).toMatch(/^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a>; rel=preload\r\n\r\nHTTP\/1\.1 200 OK/)
  })
})

describe('a response', () => {
  it('keeps its status, reason, duplicates, case and every Set-Cookie', async () => {
    const backend = await saying(
      'HTTP/1.1 299 Quite OK\r\nSet-Cookie: a=1\r\nX-A: 1\r\nset-cookie: b=2; Path=/\r\nx-a: 2\r\nDate: now\r\nContent-Length: 0\r\n\r\n',
    )
    const { port } = await edge([backend])
    const reply = await send(port)
    expect(reply).toMatchObject({ status: 299, reason: 'Quite OK' })
    expect(reply.rawHeaders.slice(0, 12)).toEqual([
      'Set-Cookie',
      'a=1',
      'X-A',
      '1',
      'set-cookie',
      'b=2; Path=/',
      'x-a',
      '2',
      'Date',
      'now',
      'Content-Length',
      '0',
    ])
  })

  it('loses what is for one connection only, and what its Connection lines name', async () => {
    const backend = await saying(
      'HTTP/1.1 200 OK\r\nConnection: x-one,,\r\nConnection: X-Two, content-length\r\nKeep-Alive: timeout=5\r\nX-One: 1\r\nX-Two: 2\r\n' +
        'Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Request-Id: theirs\r\nX-Three: 3\r\nContent-Length: 2\r\n\r\nok',
    )
    const { port, one } = await edge([backend])
    const reply = await send(port, { headers: ['Connection', 'close'] })
    expect(reply).toMatchObject({ status: 200, body: 'ok', complete: true })
    const names = namesOf(reply.rawHeaders).map((name) => name.toLowerCase())
    expect(names.sort()).toEqual(['connection', 'content-length', 'date', 'x-request-id', 'x-three'])
    expect(valuesOf(reply.rawHeaders, 'x-request-id')).toEqual([(await one()).lb.request_id])
    expect(valuesOf(reply.rawHeaders, 'connection')).toEqual(['close'])
  })

  it('keeps names that are those of an object, and its end-to-end fields though it names ours', async () => {
    const backend = await saying(
      'HTTP/1.1 200 OK\r\n__proto__: p\r\nconstructor: c\r\nConnection: x-request-id, __proto__x\r\nVia: 1.1 b\r\nContent-Length: 2\r\n\r\nok',
    )
    const { port, one } = await edge([backend])
    const reply = await send(port)
    expect([valuesOf(reply.rawHeaders, '__proto__'), valuesOf(reply.rawHeaders, 'constructor')]).toEqual([['p'], ['c']])
    expect(valuesOf(reply.rawHeaders, 'via')).toEqual(['1.1 b'])
    expect(valuesOf(reply.rawHeaders, 'x-request-id')).toEqual([(await one()).lb.request_id])
  })
})
