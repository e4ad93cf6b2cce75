// Framing: how long a message is, on both sides, is always said anew and always right.
import { describe, expect, it } from 'vitest'
import { answering, httpBackend, rawBackend, saying } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { rawClient, rawExchange, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const framingOf = (raw: readonly string[]) => [
  valuesOf(raw, 'content-length').join(),
  valuesOf(raw, 'transfer-encoding').join(),
]

describe('the framing of a request', () => {
  it('keeps the length of a body', async () => {
    const backend = await answering()
    const { port, one } = await edge([backend])
    await send(port, { method: 'POST', body: 'x'.repeat(70_000) })
    expect(backend.seen[0]!.body).toHaveLength(70_000)
    expect(framingOf(backend.seen[0]!.rawHeaders)).toEqual(['70000', ''])
    expect((await one()).http.request.body.size).toBe(70_000)
  })

  it('keeps a chunked body chunked, whatever the method', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend])
    for (const method of ['POST', 'DELETE', 'OPTIONS'])
      await send(port, { method, headers: ['Transfer-Encoding', 'chunked'], body: 'some body' })
    expect(backend.seen.map(({ method, body }) => [method, body])).toEqual([
      ['POST', 'some body'],
      ['DELETE', 'some body'],
      ['OPTIONS', 'some body'],
    ])
    expect(backend.seen.map(({ rawHeaders }) => framingOf(rawHeaders))).toEqual(Array(3).fill(['', 'chunked']))
    expect((await completed(3)).map(({ http }) => http.request.body.size)).toEqual([9, 9, 9])
  })

  it('says nothing of a body where there is none', async () => {
    const backend = await answering()
    const { port } = await edge([backend])
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) await send(port, { method })
    expect(backend.seen.map(({ rawHeaders }) => framingOf(rawHeaders))).toEqual(Array(4).fill(['', '']))
    await send(port, { method: 'POST', body: '' })
    expect(framingOf(backend.seen[4]!.rawHeaders)).toEqual(['0', ''])
  })

  it('keeps the body of a GET', async () => {
    const backend = await answering()
    const { port, completed } = await edge([backend])
    await send(port, { body: 'why not' })
    await send(port, { body: 'why not', headers: ['Transfer-Encoding', 'chunked'] })
    expect(backend.seen).toMatchObject(Array(2).fill({ method: 'GET', body: 'why not' }))
    await completed(2)
  })

  it('of an HTTP/1.0 client is understood, and so is the answer', async () => {
    const backend = await answering((response) => {
      response.write('in two ')
      response.end('parts')
    })
    const { port } = await edge([backend])
    const text = await rawExchange(port, 'POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi')
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(text).not.toMatch(/transfer-encoding/i)
    expect(text.endsWith('\r\n\r\nin two parts')).toBe(true)
    expect(backend.seen).toMatchObject([{ body: 'hi' }])
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'host')).toEqual([`127.0.0.1:${backend.port}`])
  })
})

describe('the framing of a response', () => {
  it('to HEAD has the length and no body, and keeps the connection of the backend', async () => {
    const backend = await answering((response) => response.writeHead(200, { 'content-length': 1234 }).end())
    const { port, completed } = await edge([backend])
    expect(await send(port, { method: 'HEAD' })).toMatchObject({ body: '', headers: { 'content-length': '1234' } })
    expect(await send(port, { method: 'HEAD' })).toMatchObject({ complete: true })
    const events = await completed(2)
    expect(events.map(({ lb }) => lb.attempts[0]!.reused)).toEqual([false, true])
    expect(events[1]).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: 0 } } } })
    expect(backend.accepted()).toBe(1)
  })

  for (const [name, head] of [
    ['204', '204 No Content\r\n'],
    ['204 with a Transfer-Encoding', '204 No Content\r\nTransfer-Encoding: chunked\r\n'],
    ['304', '304 Not Modified\r\nETag: "x"\r\n'],
    ['304 with the length of what is not sent', '304 Not Modified\r\nContent-Length: 99\r\n'],
  ] as const) {
    it(`of ${name} has no body, and the connection goes on`, async () => {
      const backend = await saying(`HTTP/1.1 ${head}\r\n`)
      const { port, completed } = await edge([backend])
      const client = await rawClient(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.has('\r\n\r\n')
      client.write('GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await client.ended
      expect(client.text()).not.toMatch(/transfer-encoding/i)
      expect(
        client
          .text()
          .split(/(?=HTTP\/1\.1 \d)/)
          .map((text) => text.slice(9, 12)),
      ).toEqual(Array(2).fill(name.slice(0, 3)))
      expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['ok', 'ok'])
    })
  }

  it('keeps trailers', async () => {
    const backend = await answering((response) => {
      response.writeHead(200, { Trailer: 'X-Sum, X-Two' })
      response.write('body')
      response.addTrailers([
        ['X-Sum', 'abc'],
        ['X-Two', '2'],
      ])
      response.end()
    })
    const { port } = await edge([backend])
    const reply = await send(port)
    expect(reply).toMatchObject({
      body: 'body',
      trailers: ['X-Sum', 'abc', 'X-Two', '2'],
      headers: { trailer: 'X-Sum, X-Two' },
    })
  })

  it('drops trailers that would say something of framing, and keeps the others', async () => {
    const backend = await saying(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: 1\r\nConnection: x\r\n' +
        'X-Request-Id: 5\r\nHost: x\r\nX-B: caf\xe9\r\n\r\n',
    )
    const { port, one } = await edge([backend])
    expect(await send(port)).toMatchObject({ body: 'ok', complete: true, trailers: ['X-A', '1', 'X-B', 'caf\xe9'] })
    expect(await one()).toMatchObject({ lb: { result: 'ok' } })
  })

  for (const [name, head] of [
    ['an HTTP/1.0 client', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n'],
    ['HEAD', 'HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'],
  ] as const) {
    it(`with Trailer loses it where no trailers can follow: ${name}`, async () => {
      const body = name === 'HEAD' ? '' : '2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n'
      const backend = await saying(`HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)
      const { port, one } = await edge([backend])
      const text = await rawExchange(port, head)
      expect(text).toMatch(/^HTTP\/1\.1 200 /)
      expect(text).not.toMatch(/trailer|x-sum/i)
      expect(await one()).toMatchObject({ lb: { result: 'ok' } })
    })
  }
})

describe('a connection', () => {
  it('carries requests one after the other, and so does that to the backend', async () => {
    const backend = await httpBackend((_request, response) => response.end('ok'))
    const { port, completed } = await edge([backend])
    const client = await rawClient(port)
    for (let i = 1; i <= 3; i++) {
      client.write(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`)
      await until(() => client.text().split('ok').length > i)
    }
    const events = await completed(3)
    expect(events.map(({ lb }) => lb.attempts[0]!.reused)).toEqual([false, true, true])
    expect(events.map(({ lb }) => lb.timing.connect_us > 0)).toEqual([true, false, false])
    expect(backend.accepted()).toBe(1)
  })

  it('that the backend closes with its response is not used again', async () => {
    const backend = await rawBackend((socket) =>
      socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'),
    )
    const { port, completed } = await edge([backend])
    for (let i = 0; i < 3; i++) expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
    expect((await completed(3)).map(({ lb }) => lb.attempts.map(({ reused, result }) => [reused, result]))).toEqual(
      Array(3).fill([[false, 'ok']]),
    )
  })

  it('carries pipelined requests in order', async () => {
    const backend = await answering((response, request) => response.end(`<${request.url}>`))
    const { port, completed } = await edge([backend])
    const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
    const text = await rawExchange(port, get('/1') + get('/2') + get('/3', 'Connection: close\r\n'))
    expect(text.match(/<\/\d>/g)).toEqual(['</1>', '</2>', '</3>'])
    await completed(3)
  })
})
