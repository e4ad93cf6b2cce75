// The adapter for Express within an app: beside other middleware, under routers, and where the app answers by itself.
import { gunzipSync } from 'node:zlib'
import type { ErrorRequestHandler, Express, Request, Response } from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { createAudit } from '../../src/audit/create.ts'
import { answering, saying } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { expressVersions, serveApp } from '../support/express.ts'
import { compressing, keeping, type Logged, logging, onHeaders } from '../support/middleware.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { collect } from '../support/sinks.ts'
import { until } from '../support/until.ts'

const text = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n'

describe.each(expressVersions)('expressBalancer on $name beside other middleware', ({ express }) => {
  const serve = async (app: Express, backend: { readonly url: string }) => {
    const record = recorded({ backends: [backend] })
    app.use(expressBalancer(record.balancer))
    return { ...record, port: await serveApp(app) }
  }

  for (const powered of [true, false]) {
    it(`keeps cookies, Vary and headers of the app (X-Powered-By: ${powered})`, async () => {
      const app = express()
      app.set('x-powered-by', powered)
      app.use((_request: Request, response: Response, next) => {
        response.cookie('session', '1', { httpOnly: true }).cookie('theme', 'dark').vary('Origin')
        next()
      })
      const backend = await saying(`${text}Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok`)
      const { port, one } = await serve(app, backend)
      const reply = await send(port)
      expect(valuesOf(reply.rawHeaders, 'set-cookie').sort()).toEqual([
        'a=1',
        'b=2',
        'session=1; Path=/; HttpOnly',
        'theme=dark; Path=/',
      ])
      expect([reply.headers.vary, reply.headers['x-powered-by']]).toEqual(['Origin', powered ? 'Express' : undefined])
      await one()
    })

    it(`works with a writeHead that others have patched (X-Powered-By: ${powered})`, async () => {
      const app = express()
      app.set('x-powered-by', powered)
      const seen: unknown[] = []
      app.use((_request: Request, response: Response, next) => {
        onHeaders(response, (head) => {
          seen.push([head.statusCode, head.getHeader('content-type'), head.getHeader('set-cookie')])
          head.setHeader('X-Response-Time', '1ms')
          head.setHeader('Set-Cookie', ['session=2', ...[head.getHeader('set-cookie') ?? []].flat().map(String)])
        })
        next()
      })
      const backend = await saying(
        `${text}Set-Cookie: a=1\r\nX-Two: 1\r\nX-Two: 2\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok`,
      )
      const { port, one } = await serve(app, backend)
      const reply = await send(port)
      expect(reply).toMatchObject({ status: 200, body: 'ok', headers: { 'x-response-time': '1ms' } })
      expect(valuesOf(reply.rawHeaders, 'x-two')).toEqual(['1', '2'])
      expect(valuesOf(reply.rawHeaders, 'set-cookie')).toEqual(['session=2', 'a=1', 'b=2'])
      expect(seen).toEqual([[200, 'text/plain', ['a=1', 'b=2']]])
      await one()
    })

    it(`lets loggers see status and length (X-Powered-By: ${powered})`, async () => {
      const app = express()
      app.set('x-powered-by', powered)
      const lines: Logged[] = []
      app.use(logging(lines))
      const { port, one } = await serve(app, await saying('HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok'))
      expect(await send(port)).toMatchObject({ status: 201 })
      await one()
      expect(lines).toEqual([{ status: 201, length: '2' }])
    })
  }

  it('lets middleware compress what passes, trailers after it', async () => {
    const app = express()
    app.use(compressing)
    const body = 'compressible '.repeat(40_000)
    const chunk = `${body.length.toString(16)}\r\n${body}\r\n`
    const backend = await saying(`${text}Transfer-Encoding: chunked\r\n\r\n${chunk}0\r\nX-T: 1\r\n\r\n`)
    const { port, one } = await serve(app, backend)
    const reply = await send(port)
    expect(reply).toMatchObject({ status: 200, complete: true, trailers: ['X-T', '1'] })
    expect(reply.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(Buffer.from(reply.body, 'latin1')).toString()).toBe(body)
    // The record tells what came from the backend.
    expect(await one()).toMatchObject({ http: { response: { body: { size: body.length } } }, lb: { result: 'ok' } })
  })

  it('takes the length off what is compressed, and leaves other types alone', async () => {
    for (const [type, encoding] of [
      ['text/plain', 'gzip'],
      ['image/x', undefined],
    ] as const) {
      const app = express()
      app.use(compressing)
      const backend = await saying(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: 5\r\n\r\nhello`)
      const { port, one } = await serve(app, backend)
      const reply = await send(port)
      const bytes = Buffer.from(reply.body, 'latin1')
      expect([reply.complete, reply.headers['content-encoding']]).toEqual([true, encoding])
      expect((encoding === undefined ? bytes : gunzipSync(bytes)).toString()).toBe('hello')
      await one()
    }
  })

  it('leaves it to middleware that keeps the end of a response back when that is whole, and gives it bytes', async () => {
    const app = express()
    let save = (): void => undefined
    app.use(keeping(new Promise((resolve) => (save = resolve))))
    const { port, one } = await serve(app, await saying(`${text}Content-Length: 4\r\n\r\n\xff\x80\xe9.`))
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(await client.has('\xff\x80\xe9')).not.toMatch(/\.$/)
    save()
    await client.ended
    expect(client.text()).toMatch(/\r\n\r\n\xff\x80\xe9\.$/)
    await one()
  })

  it('cuts what is compressed off where the backend was', async () => {
    const app = express()
    app.use(compressing)
    const { port, one } = await serve(app, await saying(`${text}Content-Length: 10\r\n\r\nhalf.`, 'reset'))
    expect(await send(port).catch(() => 'cut')).not.toMatchObject({ complete: true })
    expect((await one()).lb.result).toBe('backend-cut')
  })
})

describe.each(expressVersions)('expressBalancer on $name under routers', ({ express, below }) => {
  it.each([
    ['a router', '/a/b', ['/a/b', '/a/b/', '/a/b/c?x=1', '/a/b?q'], ['/', '/', '/c?x=1', '/?q']],
    ['a parameter', '/t/:id', ['/t/12', '/t/acme-and-sons/x?y'], ['/', '/x?y']],
    ['another case', '/api', ['/API/x', '/Api'], ['/x', '/']],
  ])('strips its mount: %s', async (_name, mount, asked, got) => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    const router = express.Router()
    const [outer, inner] = mount === '/a/b' ? ['/a', '/b'] : [mount, '/']
    router.use(inner!, expressBalancer(balancer))
    app.use(outer!, router)
    const port = await serveApp(app)
    for (const path of asked) expect(await send(port, { path })).toMatchObject({ status: 200 })
    expect(backend.seen.map(({ url }) => url)).toEqual(got)
    const events = await completed(asked.length)
    const paths = (list: readonly string[]) => list.map((path) => path.split('?')[0])
    expect(events.map(({ url }) => [url.original_path ?? url.path, url.path])).toEqual(
      paths(asked).map((path, i) => [path, paths(got)[i]]),
    )
    // As the client wrote it: a route has no other name for a mount.
    const mounts = new RegExp(`^${mount.replace(/:\w+/, '[^/]+')}`, 'i')
    expect(events.map(({ http }) => http.route)).toEqual(asked.map((path) => mounts.exec(path)![0]))
  })

  it('strips nothing where a route is not a mount, and lets nothing lead out of it', async () => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = express()
    app.all(below, expressBalancer(balancer))
    const port = await serveApp(app)
    expect(await send(port, { path: '/x/y?z' })).toMatchObject({ status: 200 })
    expect(await send(port, { path: '/x/../y' })).toMatchObject({ status: 400 })
    expect(backend.seen.map(({ url }) => url)).toEqual(['/x/y?z'])
    expect((await completed(2)).map(({ http }) => http.route)).toEqual([below, below])
  })

  it('has no route where it takes everything, and sends on what the app has rewritten', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend] })
    const app = express()
    app.use((request: Request, _response: Response, next) => {
      request.url = request.url.replace(/^\/old/, '/new')
      next()
    })
    app.use(expressBalancer(balancer))
    await send(await serveApp(app), { path: '/old/x?y' })
    expect(backend.seen.map(({ url }) => url)).toEqual(['/new/x?y'])
    const { http, url } = await one()
    expect([http.route, url.path, url.original_path]).toEqual([undefined, '/new/x', '/old/x'])
  })
})

describe.each(expressVersions)('expressBalancer on $name with auditOnly', ({ express }) => {
  const serve = async (build: (app: Express) => void) => {
    const record = recorded({ backends: [] })
    const app = express()
    app.set('env', 'test')
    app.use(expressBalancer(record.balancer, { auditOnly: true }))
    app.use(express.json())
    build(app)
    return { ...record, port: await serveApp(app) }
  }

  it('records what the app answers, with its route, sizes and status', async () => {
    const { port, completed } = await serve((app) => {
      const router = express.Router()
      router.get('/item/:id', (_request: Request, response: Response) => void response.send('an item'))
      router.post('/', (request: Request, response: Response) => void response.status(201).json(request.body))
      app.use('/shop/:tenant', router)
    })
    await send(port, { path: '/shop/acme/item/7?q=1' })
    const headers = ['Content-Type', 'application/json']
    await send(port, { method: 'POST', path: '/shop/acme', body: '{"a": 1}', headers })
    await send(port, { path: '/nowhere' })
    const events = await completed(3)
    expect(events.map(({ http, url }) => [url.path, http.route, http.response.status_code])).toEqual([
      ['/shop/acme/item/7', '/shop/acme/item/:id', 200],
      ['/shop/acme', '/shop/acme', 201],
      ['/nowhere', undefined, 404],
    ])
    expect(events.map(({ lb }) => [lb.result, lb.ended_by, lb.attempts])).toEqual(Array(3).fill(['ok', 'host', []]))
    expect([events[0]!.http.response.body.size, events[1]!.http.request.body.size]).toEqual([7, 8])
  })

  it('tells the whole route of one that failed', async () => {
    const onError: ErrorRequestHandler = (_error, _request, response, _next) => void response.status(500).end()
    const { port, one } = await serve((app) => {
      const router = express.Router()
      router.get('/:id', () => {
        throw new Error('no')
      })
      app.use('/a', router)
      app.use(onError)
    })
    expect(await send(port, { path: '/a/1' })).toMatchObject({ status: 500 })
    expect((await one()).http).toMatchObject({ route: '/a/:id', response: { status_code: 500 } })
  })

  it('records that a client left', async () => {
    let begun = false
    const { port, one } = await serve((app) => {
      app.get('/', () => {
        begun = true
      })
    })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => begun)
    client.socket.destroy()
    expect(await one()).toMatchObject({ lb: { result: 'client-gone' }, http: { response: { status_code: 499 } } })
  })

  it('leaves the record to a balancer that takes the request over, and records nothing twice', async () => {
    const sink = collect()
    const audit = createAudit({ sinks: [sink] })
    const own = recorded({ backends: [], audit, name: 'own' })
    const api = recorded({ backends: [await answering()], audit, name: 'api' })
    const app = express()
    for (let i = 0; i < 2; i++) app.use(expressBalancer(own.balancer, { auditOnly: true }))
    app.get('/', (_request: Request, response: Response) => void response.send('own'))
    app.use('/api', expressBalancer(api.balancer))
    const port = await serveApp(app)
    for (const path of ['/', '/api/x']) await send(port, { path })
    await until(() => own.balancer.snapshot().inFlight === 0 && api.balancer.snapshot().inFlight === 0)
    await until(() => sink.events('request.completed').length === 2)
    expect(sink.events('request.completed').map(({ lb, url }) => [lb.pool, url.path])).toEqual([
      ['own', '/'],
      ['api', '/x'],
    ])
    await audit.close()
  })

  it('watches only what match takes', async () => {
    const { balancer, completed } = recorded({ backends: [] })
    const app = express()
    app.use(expressBalancer(balancer, { auditOnly: true, match: ({ url }) => url !== '/healthz' }))
    app.use((_request: Request, response: Response) => void response.send('own'))
    const port = await serveApp(app)
    for (const path of ['/healthz', '/x']) expect(await send(port, { path })).toMatchObject({ body: 'own' })
    expect((await completed(1)).map(({ url }) => url.path)).toEqual(['/x'])
  })
})
