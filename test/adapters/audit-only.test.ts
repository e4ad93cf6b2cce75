// auditOnly: requests that the host answers by itself have the same records, and nothing of them changes.
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2'
import { PassThrough, pipeline } from 'node:stream'
import { createGzip } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { http2Session, send2 } from '../support/http2-client.ts'
import { rawClient, rawExchange, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

async function shop(handler: RequestListener, options: Partial<BalancerOptions> = {}) {
  const record = recorded({ name: 'shop', ...options, backends: [] })
  const server = createHttpServer(handler)
  attach(server, record.balancer, { auditOnly: true })
  closeAfterTest(server)
  return { ...record, server, port: await listen(server) }
}

const post = (body: string): string => `POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`

describe('a request that the host answers', () => {
  it('is recorded with sizes, status and no attempts, and gets what the host sends', async () => {
    const { port, one } = await shop((request, response) => {
      request.resume().on('end', () => {
        response.writeHead(201, 'Made', ['Set-Cookie', 'a=1', 'set-cookie', 'b=2'])
        response.write('hello ')
        response.end('world')
      })
    })
    const reply = await send(port, {
      method: 'POST',
      path: '/items?q=1',
      body: 'body',
      headers: ['X-Request-Id', 'mine'],
    })
    expect(reply).toMatchObject({ status: 201, reason: 'Made', body: 'hello world' })
    expect(reply.headers['set-cookie']).toEqual(['a=1', 'b=2'])
    expect(reply.headers['x-request-id']).toBeUndefined()
    expect(await one()).toMatchObject({
      client: { address: '127.0.0.1', source: 'peer' },
      http: {
        request: { method: 'POST', body: { size: 4 } },
        response: { status_code: 201, body: { size: 11 } },
      },
      lb: { pool: 'shop', result: 'ok', ended_by: 'host', attempts: [], client_request_id: 'mine' },
      network: { protocol: { version: '1.1' } },
      outcome: 'success',
      url: { path: '/items', query: { q: { length: 1 } } },
    })
  })

  it.each([
    ['HEAD', 200, 'ignored'],
    ['GET', 204, 'ignored'],
    ['GET', 304, 'ignored'],
  ])('has no body by %s and %i', async (method, status, body) => {
    const { port, one } = await shop((_request, response) => {
      response.statusCode = status
      response.end(body)
    })
    expect(await send(port, { method })).toMatchObject({ status, body: '' })
    expect((await one()).http.response).toEqual({ status_code: status, body: { size: 0 } })
  })

  it('is failed where its status says so', async () => {
    const { port, one } = await shop((_request, response) => void response.writeHead(500).end())
    await send(port)
    expect(await one()).toMatchObject({ lb: { result: 'ok', ended_by: 'host' }, outcome: 'failure' })
  })

  it('has the size that goes over the wire, where a middleware compresses', async () => {
    const { port, one } = await shop((_request, response) => {
      // What a compressing middleware does.
      const gzip = createGzip()
      const { write, end } = response
      response.setHeader('content-encoding', 'gzip')
      gzip.on('data', (chunk: Buffer) => Reflect.apply(write, response, [chunk]))
      gzip.on('end', () => Reflect.apply(end, response, []))
      response.write = (chunk: string) => gzip.write(chunk)
      response.end = (chunk?: unknown) => {
        gzip.end(chunk)
        return response
      }
      response.end('x'.repeat(100_000))
    })
    const { body } = await send(port)
    expect(body.length).toBeLessThan(1000)
    expect((await one()).http.response.body.size).toBe(body.length)
  })

  it('streams with the backpressure that it has', async () => {
    let full = 0
    const { port, one } = await shop((_request, response) => {
      const source = new PassThrough()
      const write = response.write
      response.write = function (this: ServerResponse, ...given: unknown[]) {
        const room = Reflect.apply(write, this, given)
        if (!room) full++
        return room
      } as typeof write
      pipeline(source, response, () => undefined)
      for (let i = 0; i < 50; i++) source.write(Buffer.alloc(100_000))
      source.end()
    })
    expect((await send(port)).body).toHaveLength(5_000_000)
    expect(full).toBeGreaterThan(0)
    expect((await one()).http.response.body.size).toBe(5_000_000)
  })

  it('counts texts by their bytes, and nothing that is refused or comes after the end', async () => {
    const { port, one } = await shop((_request, response) => {
      expect(() => response.write(null)).toThrow()
      response.on('error', () => undefined)
      response.write('é')
      response.write('c3a9', 'hex')
      response.end('e')
      response.end('more')
    })
    await send(port)
    expect((await one()).http.response.body.size).toBe(5)
  })

  it('is recorded as gone where the client leaves, and the host clears up after it', async () => {
    const { port, one } = await shop((request, response) => {
      request.on('close', () => response.destroy())
      response.write('some')
    })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await client.has('some')
    client.socket.destroy()
    expect(await one()).toMatchObject({
      http: { response: { status_code: 499, body: { size: 4 } } },
      lb: { result: 'client-gone', ended_by: 'client' },
    })
  })

  it('is recorded as broken off where the host does that', async () => {
    const { port, one } = await shop((_request, response) => {
      response.write('some', () => response.destroy(new Error('out of order')))
    })
    expect(await send(port)).toMatchObject({ body: 'some', complete: false })
    expect(await one()).toMatchObject({
      http: { response: { status_code: 200 } },
      lb: { result: 'internal', ended_by: 'host', detail: 'the host broke its response off' },
      outcome: 'failure',
    })
  })

  it('is recorded where it waits behind another when the connection ends', async () => {
    const held: ServerResponse[] = []
    const { port, completed } = await shop((_request, response) => void held.push(response))
    const client = await rawClient(port, 'GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => held.length === 2)
    client.socket.destroy()
    expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['client-gone', 'client-gone'])
  })

  it('has its lines in order where it is pipelined', async () => {
    const { port, completed } = await shop((request, response) => response.end(request.url))
    const client = await rawClient(
      port,
      `${post('a')}${post('bc')}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    )
    await client.ended
    expect((await completed(3)).map(({ http }) => http.request.body.size)).toEqual([1, 2, 0])
  })

  it('is recorded over HTTP/2, its body counted once', async () => {
    const record = recorded({ backends: [] })
    const server = createHttp2Server((request, response) => {
      request.resume().on('end', () => {
        response.write('one')
        response.end('two')
      })
    })
    attach(server, record.balancer, { auditOnly: true })
    closeAfterTest(server)
    const session = http2Session(await listen(server))
    expect(await send2(session, { ':method': 'POST' }, 'body')).toMatchObject({ status: 200, body: 'onetwo' })
    expect(await send2(session, { ':method': 'HEAD' })).toMatchObject({ status: 200, body: '' })
    const [first, second] = await record.completed(2)
    expect(first).toMatchObject({
      http: { request: { body: { size: 4 } }, response: { body: { size: 6 } } },
      lb: { result: 'ok', ended_by: 'host' },
      network: { protocol: { version: '2' } },
    })
    expect(second!.http.response.body.size).toBe(0)
  })

  it('is waited for when the balancer closes', async () => {
    let answer: (() => void) | undefined
    const { port, balancer, completions } = await shop((_request, response) => {
      answer = () => response.end('late')
    })
    const reply = send(port)
    await until(() => answer !== undefined)
    const closing = balancer.close()
    answer!()
    expect(await reply).toMatchObject({ status: 200, body: 'late' })
    await closing
    expect(completions()).toHaveLength(1)
  })

  it('is answered all the same after the balancer has closed', async () => {
    const { port, balancer } = await shop((_request, response) => response.end('ok'))
    await balancer.close()
    expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
  })

  it('is not refused for its address, nor cut off', async () => {
    const { port, one, denials } = await shop((_request, response) => response.end('ok'), {
      access: { deny: ['127.0.0.0/8'] },
    })
    expect(await send(port)).toMatchObject({ status: 200 })
    expect(await one()).toMatchObject({ lb: { result: 'ok' } })
    expect(denials()).toEqual([])
  })

  it('with an expectation is answered as Node answers it', async () => {
    let reached = 0
    const { port, one } = await shop((_request, response) => {
      reached++
      response.end()
    })
    expect(await send(port, { headers: ['Expect', 'x'] })).toMatchObject({ status: 417 })
    expect(await one()).toMatchObject({ http: { response: { status_code: 417 } } })
    expect(reached).toBe(0)
  })

  it('has a record for what never reached it', async () => {
    const { port, denied } = await shop((_request, response) => response.end())
    expect(await rawExchange(port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await denied()).toMatchObject([{ access: { rule: 'malformed' } }])
  })
})

describe('an upgrade that the host answers', () => {
  const asking = 'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'

  it('is recorded once it is answered, whenever the host began to listen', async () => {
    const { port, server, one } = await shop((_request, response) => response.end('no upgrade'))
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => undefined)
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
      socket.pipe(socket)
    })
    const client = await rawClient(port, asking)
    await client.has('101')
    client.write('echo')
    await client.has('echo')
    expect(await one()).toMatchObject({
      http: { response: { status_code: 101 } },
      lb: { result: 'ok', ended_by: 'host' },
    })
  })

  it('is recorded as refused, or as broken off', async () => {
    const { port, server, completed } = await shop((_request, response) => response.end())
    server.on('upgrade', (request, socket) => {
      socket.on('error', () => undefined)
      if (request.url === '/ws') socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')
      else socket.destroy()
    })
    await rawExchange(port, asking)
    await rawExchange(port, asking.replace('/ws', '/other'))
    const records = await completed(2)
    expect(records.map(({ http, lb }) => [http.response.status_code, lb.result])).toEqual([
      [401, 'ok'],
      [undefined, 'internal'],
    ])
  })

  it('is not taken for answered by what it waits behind', async () => {
    let first: ServerResponse | undefined
    const { port, server, completed } = await shop((_request, response) => {
      first = response
    })
    server.on('upgrade', (_request, socket) => {
      socket.on('error', () => undefined)
      first!.once('close', () => socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'))
      first!.end('first')
    })
    expect(await rawExchange(port, `GET /first HTTP/1.1\r\nHost: a\r\n\r\n${asking}`)).toMatch(/first[\s\S]* 401 /)
    const records = await completed(2)
    expect(records.map(({ http, url }) => [url.path, http.response.status_code])).toEqual([
      ['/first', 200],
      ['/ws', 401],
    ])
  })

  it.each(['before', 'after'])('stays a request below no mount, watched %s the mounts came', async (order) => {
    const record = recorded({ name: 'shop', backends: [] })
    const server = createHttpServer((_request, response) => response.end('no upgrade'))
    const mounts = { '/orders': recorded({ backends: [await answering()] }).balancer }
    if (order === 'after') attach(server, mounts)
    attach(server, record.balancer, { auditOnly: true })
    if (order === 'before') attach(server, mounts)
    closeAfterTest(server)
    const client = await rawClient(await listen(server), `${asking}GET /next HTTP/1.1\r\nHost: a\r\n\r\n`)
    await client.has(/no upgrade[\s\S]*no upgrade/)
    const records = await record.completed(2)
    expect(records.map(({ http, url }) => [url.path, http.response.status_code])).toEqual([
      ['/ws', 200],
      ['/next', 200],
    ])
    client.socket.destroy()
    await record.balancer.close()
    expect(record.balancer.snapshot().inFlight).toBe(0)
  })

  it('stays a request where nobody listens for upgrades', async () => {
    const { port, server, one } = await shop((_request, response) => response.end('no upgrade'))
    const listener = (): void => undefined
    server.on('upgrade', listener)
    server.removeListener('upgrade', listener)
    const client = await rawClient(port, asking.replace('Connection: Upgrade', 'Connection: Upgrade, close'))
    await client.has('no upgrade')
    expect(await one()).toMatchObject({ http: { response: { status_code: 200 } } })
  })
})

describe('nodeHandler with auditOnly', () => {
  it('watches a request of a handler that calls it, and returns its id', async () => {
    const record = recorded({ backends: [] })
    const watch = nodeHandler(record.balancer, { auditOnly: true, route: ({ url }) => `route of ${url}` })
    let id: string | undefined
    const server = createHttpServer((request, response) => {
      id = watch(request, response)
      expect(watch(request, response)).toBe(id)
      response.end('ok')
    })
    closeAfterTest(server)
    await send(await listen(server), { path: '/x' })
    const { lb, http } = await record.one()
    expect([lb.request_id, http.route, http.response.body.size]).toEqual([id, 'route of /x', 2])
  })

  it('wraps a handler', async () => {
    const record = recorded({ backends: [] })
    const handler = (_request: IncomingMessage, response: ServerResponse): void => void response.end('ok')
    const server = createHttpServer(nodeHandler(record.balancer, { auditOnly: true, route: '/all', handler }))
    closeAfterTest(server)
    expect(await send(await listen(server))).toMatchObject({ body: 'ok' })
    expect(await record.one()).toMatchObject({ http: { route: '/all' }, lb: { ended_by: 'host' } })
  })

  it('wraps a handler of HTTP/2', async () => {
    const record = recorded({ backends: [] })
    const handler = (_request: Http2ServerRequest, response: Http2ServerResponse): void => void response.end('ok')
    const server = createHttp2Server(nodeHandler(record.balancer, { auditOnly: true, handler }))
    closeAfterTest(server)
    expect(await send2(http2Session(await listen(server)))).toMatchObject({ body: 'ok' })
    await record.one()
  })

  it('lives with a route that throws', async () => {
    const record = recorded({ backends: [] })
    const route = (): string => {
      throw new Error('no route today')
    }
    const server = createHttpServer(
      nodeHandler(record.balancer, { auditOnly: true, route, handler: (_request, response) => void response.end() }),
    )
    closeAfterTest(server)
    expect(await send(await listen(server))).toMatchObject({ status: 200 })
    expect((await record.one()).http.route).toBeUndefined()
  })

  it('leaves the record to a balancer that takes the request over', async () => {
    const { port, completions, balancer } = await shop((request, response) => forward(request, response))
    const other = recorded({ name: 'other', backends: [await answering()] })
    const forward = nodeHandler(other.balancer)
    expect(await send(port)).toMatchObject({ status: 200 })
    expect(await other.one()).toMatchObject({ lb: { pool: 'other', ended_by: 'backend' } })
    await until(() => balancer.snapshot().inFlight === 0)
    expect(completions()).toEqual([])
  })
})
