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
})
