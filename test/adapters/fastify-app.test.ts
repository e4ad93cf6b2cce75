// What the adapter for Fastify shares with its app: hooks, errors, logs, the app's own routes, and the close.
import { Writable } from 'node:stream'
import type { FastifyServerOptions } from 'fastify'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { BalancerError } from '../../src/errors.ts'
import { answering, echoing, halfResponses, httpBackend, refusing, saying } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

type Line = Record<string, unknown> & { readonly msg: string }

/** A stream that keeps the lines of a logger. */
function logLines(): { lines: Line[]; logger: { stream: Writable } } {
  const lines: Line[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  return { lines, logger: { stream } }
}

for (const [version, fastify] of versions) {
  describe(`fastifyBalancer of Fastify ${version}, hooks and routes`, () => {
    it('runs the hooks that it is given, after those of the app, and for nothing else', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify()
      const ran: string[] = []
      app.addHook('preHandler', async () => void ran.push('app'))
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, {
        balancer,
        prefix: '/api',
        onRequest: async () => void ran.push('onRequest'),
        preValidation: [async () => void ran.push('preValidation')],
        preHandler: [
          async (request, reply) => {
            ran.push('preHandler')
            if (request.headers.authorization === undefined) await reply.code(401).send('who are you?')
          },
          (_request, _reply, done) => {
            ran.push('second')
            done()
          },
        ],
        onResponse: async () => void ran.push('onResponse'),
      })
      const port = await serveApp(app)
      expect(await send(port, { path: '/own' })).toMatchObject({ body: 'own' })
      expect(ran.splice(0)).toEqual(['app'])
      expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 401 })
      await until(() => ran.includes('onResponse'))
      expect(ran.splice(0)).toEqual(['onRequest', 'preValidation', 'app', 'preHandler', 'onResponse'])
      expect(await send(port, { path: '/api/x', headers: ['Authorization', 'me'] })).toMatchObject({ status: 200 })
      await until(() => ran.includes('onResponse'))
      expect(ran).toEqual(['onRequest', 'preValidation', 'app', 'preHandler', 'second', 'onResponse'])
      await completed(1)
      expect(backend.seen).toHaveLength(1)
    })

    it('takes what its constraints ask for, and leaves the rest to the app', async () => {
      const [one, two] = [await answering(), await answering()]
      const [first, second] = [recorded({ backends: [one] }), recorded({ backends: [two] })]
      const app = fastify()
      app.register(fastifyBalancer, { balancer: first.balancer, prefix: '/api', constraints: { host: 'one.test' } })
      app.register(fastifyBalancer, { balancer: second.balancer, prefix: '/api', constraints: { host: 'two.test' } })
      const port = await serveApp(app)
      for (const [host, status] of [
        ['one.test', 200],
        ['two.test', 200],
        ['three.test', 404],
      ] as const)
        expect(await send(port, { path: '/api/x', headers: ['Host', host] })).toMatchObject({ status })
      await first.completed(1)
      await second.completed(1)
      expect([one.seen.length, two.seen.length]).toEqual([1, 1])
    })

    it('refuses options that are not valid', async () => {
      const { balancer } = recorded({ backends: [] })
      const wrong = [
        {},
        { balancer: {} },
        ...[{ onError: 'next' }, { httpMethods: 'GET' }, { rewritePrefix: 1 }].map((one) => ({ balancer, ...one })),
      ]
      for (const options of wrong) {
        const app = fastify()
        app.register(fastifyBalancer, options as never)
        await expect(app.ready()).rejects.toMatchObject({ code: 'config-invalid' })
        await app.close()
      }
    })

    it('takes the methods that it is told to, and leaves the rest to the app', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify()
      app.post('/api/x', async () => 'own')
      app.register(fastifyBalancer, { balancer, prefix: '/api', httpMethods: ['get', 'PROPFIND'] })
      const port = await serveApp(app)
      for (const [method, status] of [
        ['GET', 200],
        ['PROPFIND', 200],
        ['HEAD', 404],
        ['DELETE', 404],
      ] as const)
        expect(await send(port, { method, path: '/api/x' })).toMatchObject({ status })
      const posted = { method: 'POST', path: '/api/x', body: 'b', headers: ['Content-Type', 'text/plain'] }
      expect(await send(port, posted)).toMatchObject({ body: 'own' })
      await completed(2)
    })

    it('hands over what a router with other rules finds', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const rules = { caseSensitive: false, ignoreTrailingSlash: true, maxParamLength: 5 }
      const app = fastify((version === 4 ? rules : { routerOptions: rules }) as FastifyServerOptions)
      app.register(fastifyBalancer, { balancer, prefix: '/Api/:tenant' })
      const port = await serveApp(app)
      for (const path of ['/aPI/a/X', '/api/a/', '/API/A']) await send(port, { path })
      expect(backend.seen.map(({ url }) => url)).toEqual(['/X', '/', '/'])
      expect((await completed(3)).map(({ url }) => url.original_path)).toEqual(['/aPI/a/X', '/api/a/', '/API/A'])
      expect(await send(port, { path: '/api/too-long/x' })).toMatchObject({ status: version === 4 ? 404 : 414 })
    })

    it('takes a path that is longer than maxParamLength below its prefix', async () => {
      const { balancer, one } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      expect(await send(await serveApp(app), { path: `/api/${'x'.repeat(500)}` })).toMatchObject({ status: 200 })
      expect((await one()).url.path).toHaveLength(501)
    })

    it('knows no limit of bodies but its own', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify({ bodyLimit: 10 })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      const types = ['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'application/x-any']
      for (const type of types) {
        const reply = await send(port, {
          method: 'POST',
          path: '/api/x',
          body: 'b'.repeat(1000),
          headers: ['Content-Type', type],
        })
        expect(reply).toMatchObject({ status: 200 })
      }
      expect(backend.seen.map(({ body }) => body.length)).toEqual(types.map(() => 1000))
      await completed(types.length)
    })

    it('lets a client that waits for 100 send its body', async () => {
      const { balancer, one } = recorded({ backends: [await echoing()] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(
        await serveApp(app),
        'POST /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
      )
      await client.has('HTTP/1.1 100 Continue\r\n\r\n')
      client.write('body')
      await client.ended
      expect(client.text()).toMatch(/HTTP\/1\.1 200 OK[\s\S]*\r\n\r\n4?[\r\n]*body/)
      await one()
    })

    it('works on a server that the app was given', async () => {
      const { createServer } = await import('node:http')
      const { balancer, one } = recorded({ backends: [await answering()] })
      const app = fastify({ serverFactory: (handler) => createServer(handler) })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      expect(await send(await serveApp(app), { path: '/api/x' })).toMatchObject({ status: 200 })
      await one()
    })

    it('names the prefix as the route, with all that is around it', async () => {
      const { balancer, completed } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.register(
        async (inner) => void inner.register(fastifyBalancer, { balancer, prefix: '/:tenant', logLevel: 'silent' }),
        { prefix: '/v2' },
      )
      const port = await serveApp(app)
      await send(port, { path: '/v2/acme/x?q' })
      const [record] = await completed(1)
      expect(record!.http.route).toBe('/v2/:tenant')
      expect(record!.url).toMatchObject({ path: '/x', original_path: '/v2/acme/x' })
    })
  })

  describe(`fastifyBalancer of Fastify ${version}, onError: throw`, () => {
    const failing = async (backends: readonly { readonly url: string }[]) => {
      const record = recorded({ backends })
      const app = fastify()
      const seen: unknown[] = []
      app.addHook('onRequest', async (_request, reply) => void reply.headers({ 'x-host': 'yes', 'x-not': 'now' }))
      app.setErrorHandler((error, _request, reply) => {
        seen.push(error)
        const { code, status } = error as BalancerError
        return reply.code(status).removeHeader('x-not').send({ mine: code })
      })
      app.register(fastifyBalancer, { balancer: record.balancer, prefix: '/api', onError: 'throw' })
      return { ...record, seen, port: await serveApp(app) }
    }

    it('gives a failure to the error handler of the app, with its status', async () => {
      const { port, seen, one } = await failing([await refusing()])
      const reply = await send(port, { path: '/api/x' })
      expect(reply).toMatchObject({ status: 502, body: '{"mine":"connect-refused"}', headers: { 'x-host': 'yes' } })
      expect(reply.headers['x-not']).toBeUndefined()
      expect(seen).toEqual([expect.any(BalancerError)])
      expect(await one()).toMatchObject({
        lb: { result: 'connect-refused' },
        http: { response: { status_code: 502 } },
      })
    })

    it('gives what nobody was found for to it too, and answers what is not well-formed itself', async () => {
      const { port, completed } = await failing([])
      expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 503, body: '{"mine":"no-backend"}' })
      const client = await rawClient(port, 'GET /api/../x HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 400 [\s\S]*connection: close[\s\S]*"code":"malformed"/i)
      expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['no-backend', 'malformed'])
    })

    it('passes a response on as it is, whatever its status', async () => {
      const { port, seen, one } = await failing([await answering((response) => response.writeHead(500).end('no'))])
      const reply = await send(port, { path: '/api/x' })
      expect(reply).toMatchObject({ status: 500, body: 'no', headers: { 'x-host': 'yes', 'x-not': 'now' } })
      expect(seen).toEqual([])
      await one()
    })

    it('gives a response that cannot be written to it, without a header of that', async () => {
      const { port, one } = await failing([await saying('HTTP/1.1 099 Odd\r\nETag: x\r\nContent-Length: 0\r\n\r\n')])
      const reply = await send(port, { path: '/api/x' })
      expect(reply).toMatchObject({ status: 502, body: '{"mine":"response-invalid"}' })
      expect(reply.headers.etag).toBeUndefined()
      await one()
    })

    it('cuts the client off where a response had begun', async () => {
      const { port, seen, one } = await failing([await saying(halfResponses.chunked, 'fin')])
      expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 200, complete: false })
      expect(await one()).toMatchObject({ lb: { result: 'backend-cut' } })
      expect(seen).toEqual([])
    })

    it('has nobody answer a client that has left', async () => {
      const backend = await httpBackend(() => undefined)
      const { port, seen, one } = await failing([backend])
      const client = await rawClient(port, 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n')
      await until(() => backend.sockets.size === 1)
      client.socket.destroy()
      expect(await one()).toMatchObject({ lb: { result: 'client-gone' } })
      expect(seen).toEqual([])
    })

    if (version === 5)
      it('leaves a response that has begun to the hop, where Fastify limits the time of handlers', async () => {
        let rest: () => void = () => undefined
        const { balancer, one } = recorded({
          backends: [
            await httpBackend((_request, response) => {
              response.write('some')
              rest = () => void response.end('rest')
            }),
          ],
        })
        const app = fastify({ handlerTimeout: 100 } as FastifyServerOptions)
        app.register(fastifyBalancer, { balancer, prefix: '/api', onError: 'throw' })
        const port = await serveApp(app)
        // The time of Fastify stands still until the response has begun.
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
        onTestFinished(() => void vi.useRealTimers())
        const client = await rawClient(port, 'GET /api/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        await client.has('some')
        expect(vi.getTimerCount()).toBeGreaterThan(0)
        vi.advanceTimersByTime(101)
        rest()
        await client.ended
        expect(client.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*some[\s\S]*rest\r\n0\r\n\r\n$/)
        await one()
      })
  })

  describe(`fastifyBalancer of Fastify ${version}, logs`, () => {
    it('tells each log the id of the other', async () => {
      const { balancer, one } = recorded({ backends: [await answering()] })
      const { lines, logger } = logLines()
      const app = fastify({ logger, genReqId: () => 'app 7' })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      await send(await serveApp(app), { path: '/api/x' })
      const { lb } = await one()
      expect(lb.app_request_id).toBe('app?7')
      await until(() => lines.some(({ msg }) => msg === 'request completed'))
      expect(lines.find(({ msg }) => msg === 'request completed')).toMatchObject({
        reqId: 'app 7',
        lb_request_id: lb.request_id,
      })
    })

    it('has the line of a failure carry our id', async () => {
      const { balancer, one } = recorded({ backends: [] })
      const { lines, logger } = logLines()
      const app = fastify({ logger })
      app.register(fastifyBalancer, { balancer, prefix: '/api', onError: 'throw' })
      expect(await send(await serveApp(app), { path: '/api/x' })).toMatchObject({ status: 503 })
      const { lb } = await one()
      await until(() => lines.some(({ msg }) => msg === 'request completed'))
      expect(lines.filter((line) => line.lb_request_id === lb.request_id).map(({ msg }) => msg)).toEqual([
        'no backend is eligible',
        'request completed',
      ])
    })
  })

  describe(`fastifyBalancer of Fastify ${version}, auditOnly`, () => {
    it('records what the app answers by itself: its routes, what it does not find, and its errors', async () => {
      const { balancer, completed } = recorded({ backends: [] })
      const { lines, logger } = logLines()
      const app = fastify({ logger })
      app.register(fastifyBalancer, { balancer, auditOnly: true })
      app.post('/items/:id', async (request) => request.body)
      app.get('/fails', async () => {
        throw new Error('no')
      })
      app.register(async (inner) => void inner.get('/x', async () => 'inner'), { prefix: '/inner' })
      const port = await serveApp(app)
      const json = ['Content-Type', 'application/json']
      const posted = await send(port, { method: 'POST', path: '/items/7?a=1', body: '{"a":1}', headers: json })
      expect(posted).toMatchObject({ status: 200, body: '{"a":1}' })
      for (const [path, status] of [
        ['/fails', 500],
        ['/inner/x', 200],
        ['/nowhere', 404],
      ] as const)
        expect(await send(port, { path })).toMatchObject({ status })
      const records = await completed(4)
      expect(records.map(({ http, url }) => [http.route, url.path, http.response.status_code])).toEqual([
        ['/items/:id', '/items/7', 200],
        ['/fails', '/fails', 500],
        ['/inner/x', '/inner/x', 200],
        [undefined, '/nowhere', 404],
      ])
      expect(records[0]).toMatchObject({
        lb: { result: 'ok', ended_by: 'host', attempts: [], app_request_id: expect.any(String) },
        http: { request: { method: 'POST', body: { size: 7 } }, response: { body: { size: 7 } } },
      })
      const ids = lines.filter(({ msg }) => msg === 'request completed').map((line) => line.lb_request_id)
      expect(ids).toEqual(records.map(({ lb }) => lb.request_id))
    })

    it('records no more than the scope in which it is registered', async () => {
      const { balancer, completed } = recorded({ backends: [] })
      const app = fastify()
      app.get('/out', async () => 'out')
      app.register(
        async (inner) => {
          inner.register(fastifyBalancer, { balancer, auditOnly: true })
          inner.get('/in', async () => 'in')
        },
        { prefix: '/inner' },
      )
      const port = await serveApp(app)
      for (const path of ['/out', '/inner/in']) expect(await send(port, { path })).toMatchObject({ status: 200 })
      expect((await completed(1)).map(({ http }) => http.route)).toEqual(['/inner/in'])
    })

    it('leaves the records of a mount to the mount, but for what the hooks refuse there', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const { lines, logger } = logLines()
      const app = fastify({ logger })
      app.register(fastifyBalancer, { balancer, auditOnly: true })
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, {
        balancer,
        prefix: '/api',
        preHandler: async (request, reply) => (request.url === '/api/no' ? reply.code(403).send('no') : undefined),
      })
      const port = await serveApp(app)
      for (const [path, status] of [
        ['/own', 200],
        ['/api/x', 200],
        ['/api/no', 403],
      ] as const)
        expect(await send(port, { path })).toMatchObject({ status })
      const records = await completed(3)
      expect(records.map(({ http, lb }) => [http.route, http.response.status_code, lb.ended_by])).toEqual([
        ['/own', 200, 'host'],
        ['/api', 200, 'backend'],
        ['/api/*', 403, 'host'],
      ])
      const done = lines.filter(({ msg }) => msg === 'request completed')
      expect(done.map((line) => line.lb_request_id)).toEqual(records.map(({ lb }) => lb.request_id))
    })
  })

  describe(`fastifyBalancer of Fastify ${version}, the close of the app`, () => {
    it('leaves the balancer open, which may have other hosts', async () => {
      const { balancer } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      await serveApp(app)
      await app.close()
      expect(balancer.snapshot().state).toBe('open')
    })

    it('drains and closes it where it is told to, before the server', async () => {
      const backend = await httpBackend((_request, response) => {
        response.write('some')
        setTimeout(() => response.end('rest'), 100)
      })
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api', closeBalancer: true })
      const port = await serveApp(app)
      const client = await rawClient(port, 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.has('some')
      await app.close()
      expect(balancer.snapshot().state).toBe('closed')
      expect(await one()).toMatchObject({ lb: { result: 'ok' } })
      await client.has('rest')
    })

    it('closes it after the last request of an app of which it records the requests', async () => {
      const { balancer, one } = recorded({ backends: [] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, auditOnly: true, closeBalancer: true })
      app.get('/slow', (_request, reply) => void setTimeout(() => reply.send('slow'), 100))
      const client = await rawClient(await serveApp(app), 'GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await until(() => balancer.snapshot().inFlight === 1)
      await app.close()
      expect(balancer.snapshot().state).toBe('closed')
      expect(await one()).toMatchObject({ lb: { result: 'ok' } })
      await client.has('slow')
    })

    it('is not held up by connections that are kept alive', async () => {
      const { balancer, one } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), 'GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n')
      await client.has('ok')
      await one()
      await app.close()
      await client.ended
      expect(valuesOf(client.text().split(/: |\r\n/), 'keep-alive')).not.toEqual([])
    })
  })
}
