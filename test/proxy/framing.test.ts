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
  it('to HEAD has the length and no body, and is the last on its connection', async () => {
    const backend = await answering((response) => response.writeHead(200, { 'content-length': 1234 }).end())
    const { port, completed } = await edge([backend])
    expect(await send(port, { method: 'HEAD' })).toMatchObject({ body: '', headers: { 'content-length': '1234' } })
    expect(await send(port, { method: 'HEAD' })).toMatchObject({ complete: true })
    const events = await completed(2)
    expect(events.map(({ lb }) => lb.attempts[0]!.reused)).toEqual([false, false])
    expect(events[1]).toMatchObject({ lb: { result: 'ok' }, http: { response: { body: { size: 0 } } } })
    expect(backend.accepted()).toBe(2)
  })

  for (const [name, head] of [
    ['204', '204 No Content\r\n'],
    ['204 with a length', '204 No Content\r\nContent-Length: 5\r\n'],
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
      // To a client that believes it the next response would be a body.
      if (name.startsWith('204')) expect(client.text()).not.toMatch(/content-length/i)
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

describe('trailers of a response', () => {
  const trailing = (names: string, head = '') =>
    saying(`HTTP/1.1 200 OK\r\n${head}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${names}\r\n`)

  it('pass where nothing announced them, too', async () => {
    const { port } = await edge([await trailing('X-Sum: 1\r\nServer-Timing: a;dur=1\r\n')])
    expect((await send(port)).trailers).toEqual(['X-Sum', '1', 'Server-Timing', 'a;dur=1'])
  })

  it.each([
    ...['Content-Length: 5', 'Transfer-Encoding: chunked', 'Host: b', 'Connection: x', 'Set-Cookie: a=b', 'Vary: *'],
    ...['Content-Type: text/html', 'Content-Encoding: gzip', 'Cache-Control: public', 'WWW-Authenticate: Basic'],
    ...[
      'Location: /evil',
      'X-Forwarded-For: 1.2.3.4',
      'Trailer: x',
      'Content-Range: bytes 0-1/2',
      'Age: 5',
      'TE: gzip',
    ],
  ])('never say what belongs into the head: %s', async (line) => {
    // The parser may take one that frames for a fault: then the response is cut, and not passed on as whole.
    const { port, one } = await edge([await trailing(`X-Sum: 1\r\n${line}\r\n`)])
    const reply = await send(port).catch(() => ({ trailers: [], complete: false }))
    expect(reply.trailers).toEqual(reply.complete ? ['X-Sum', '1'] : [])
    expect((await one()).lb.result).toBe(reply.complete ? 'ok' : 'response-invalid')
  })

  it('are dropped for a client of HTTP/1.0', async () => {
    const { port } = await edge([await trailing('X-Sum: 1\r\n')])
    expect(await rawExchange(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n')).toMatch(/\r\n\r\nok$/)
  })
})

describe('a length that is not kept', () => {
  const post = 'POST / HTTP/1.1\r\nHost: a\r\n'

  for (const [name, text] of [
    ['by a client with a length', `${post}Content-Length: 10\r\n\r\nhalf.`],
    ['by a client with chunks', `${post}Transfer-Encoding: chunked\r\n\r\na\r\nhalf.`],
  ] as const) {
    it(`${name} cuts the request at the backend, which never takes it for whole`, async () => {
      const seen: string[] = []
      const backend = await httpBackend((request) => {
        request.on('data', (chunk: Buffer) => seen.push(String(chunk)))
        request.on('end', () => seen.push('end')).on('error', () => seen.push('error'))
      })
      const { port, one } = await edge([backend])
      const client = await rawClient(port, text)
      await until(() => seen.length === 1)
      client.socket.end()
      await until(() => seen.length === 2)
      expect(seen).toEqual(['half.', 'error'])
      expect(await one()).toMatchObject({
        lb: { result: 'client-gone', ended_by: 'client', attempts: [{ result: 'client-gone' }] },
        http: { request: { body: { size: 5 } }, response: { status_code: 499 } },
      })
    })
  }

  it('by a backend that says more costs the client nothing and its connection', async () => {
    const backend = await saying('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more')
    const { port, completed } = await edge([backend])
    for (let i = 0; i < 2; i++) expect(await send(port)).toMatchObject({ status: 200, body: 'ok', complete: true })
    const events = await completed(2)
    expect(events.map(({ http }) => http.response.body.size)).toEqual([2, 2])
    expect(backend.accepted()).toBe(2)
  })

  it.each([
    ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'],
    ['GET', 'HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'],
  ])('by a body where there is none (%s, %j) is never passed on', async (method, text) => {
    const backend = await saying(text)
    const { port, completed } = await edge([backend], { retry: { retries: 0 } })
    const head = (path: string, more = '') => `${method} ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
    const reply = await rawExchange(port, head('/1') + head('/2', 'Connection: close\r\n'))
    expect(reply.match(/HTTP\/1\.1 (?!502)/g)).toHaveLength(2)
    expect(reply).not.toMatch(/evil/)
    await completed(2)
    // No second response was read out of the first one's body.
    expect(backend.received.map((received) => received.match(/HTTP\/1\.1\r\n/g)?.length)).toEqual([1, 1])
  })
})

it('a client of HTTP/1.0 that asks for it keeps its connection, where a length tells the end', async () => {
  const backend = await answering((response) => response.writeHead(200, { 'content-length': 2 }).end('ok'))
  const { port, completed } = await edge([backend])
  const client = await rawClient(port, 'GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n')
  expect(await client.has('ok')).toMatch(/\r\nconnection: keep-alive\r\n/i)
  client.write('GET /2 HTTP/1.0\r\nHost: a\r\n\r\n')
  await client.ended
  expect(client.text().match(/HTTP\/1\.1 200/g)).toHaveLength(2)
  await completed(2)
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
