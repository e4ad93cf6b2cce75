// The adapter for Fastify keeps what every adapter promises, and puts another prefix in the place of its own.
import { METHODS } from 'node:http'
import type { FastifyServerOptions } from 'fastify'
import { describe, expect, it } from 'vitest'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { answering } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { conforms } from './conformance.ts'

/** The methods that Fastify 4 knows, and cannot be taught more of. */
const of4 =
  'DELETE GET HEAD PATCH POST PUT OPTIONS PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK TRACE SEARCH REPORT MKCALENDAR'
const methodsOf = (version: 4 | 5): readonly string[] =>
  version === 4 ? of4.split(' ') : METHODS.filter((method) => method !== 'CONNECT')

/** Options of the router, where the version has them. */
const routerOptions = (version: 4 | 5, options: object): FastifyServerOptions =>
  version === 4 ? options : { routerOptions: options }

for (const [version, fastify] of versions) {
  conforms({
    name: `fastifyBalancer of Fastify ${version}`,
    prefix: '/api',
    route: '/api',
    methods: methodsOf(version),
    upgrades: true,
    start(balancer, options) {
      const app = fastify()
      app.addHook('onRequest', async (_request, reply) => void reply.headers((options.preset ?? {}) as never))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      return serveApp(app)
    },
  })

  describe(`fastifyBalancer of Fastify ${version}`, () => {
    const paths = async (
      options: { prefix?: string; rewritePrefix?: string },
      asked: string[],
      given: FastifyServerOptions = {},
    ) => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify(given)
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, { balancer, ...options })
      const port = await serveApp(app)
      for (const path of asked) await send(port, { path })
      await completed(asked.length)
      return backend.seen.map(({ url }) => url)
    }

    it('without a prefix takes every path as it is', async () => {
      expect(await paths({}, ['/', '/x?y', '/x//y/', '/%2e%2e/x'])).toEqual(['/', '/x?y', '/x//y/', '/%2e%2e/x'])
    })

    it('puts rewritePrefix in the place of the prefix', async () => {
      const rewritten = await paths({ prefix: '/api', rewritePrefix: '/v1/' }, ['/api', '/api/x?y', '/api/x/'])
      expect(rewritten).toEqual(['/v1/', '/v1/x?y', '/v1/x/'])
    })

    it('refuses dot segments below its prefix though rewritePrefix puts that back', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api', rewritePrefix: '/api' })
      const port = await serveApp(app)
      for (const path of ['/api/../admin', '/api/%2e%2e/admin', '/api/x', '/api/..%2fadmin']) await send(port, { path })
      expect(backend.seen.map(({ url }) => url)).toEqual(['/api/x'])
      expect((await completed(4)).map(({ lb }) => lb.result)).toEqual(['malformed', 'malformed', 'ok', 'malformed'])
    })

    it('strips a prefix with a parameter by what it matched', async () => {
      expect(await paths({ prefix: '/t/:tenant' }, ['/t/acme-and-sons/x?y', '/t/a', '/t/a/b/c'])).toEqual([
        '/x?y',
        '/',
        '/b/c',
      ])
    })

    it('counts the segments of a path in absolute form without its authority', async () => {
      const asked = ['http://h', 'http://h?q=/x', 'HTTP://h:1/a/b/c', 'https://h/a']
      expect(await paths({ rewritePrefix: '/v1' }, asked)).toEqual(['/v1/', '/v1/?q=/x', '/v1/a/b/c', '/v1/a'])
      const below = ['http://h/t/acme', 'http://h/t/acme?q', 'http://h/t/acme/x/y']
      expect(await paths({ prefix: '/t/:tenant', rewritePrefix: '/v1' }, below)).toEqual(['/v1/', '/v1/?q', '/v1/x/y'])
    })

    it('strips what the router of the app took for the prefix', async () => {
      const slashes = routerOptions(version, { ignoreDuplicateSlashes: true })
      expect(await paths({ prefix: '/a/b' }, ['//a///b/x//y', '/a/b'], slashes)).toEqual(['/x//y', '/'])
      const semicolons = routerOptions(version, { useSemicolonDelimiter: true })
      expect(await paths({ prefix: '/a' }, ['/a;p=/b', '/a/x;p'], semicolons)).toEqual(['/;p=/b', '/x;p'])
    })

    it('records the target as it came, where the app rewrote it', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify({ rewriteUrl: ({ url }) => url!.replace('/old', '/api') })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      await send(await serveApp(app), { path: '/old/x' })
      expect((await one()).url).toEqual({ path: '/x', original_path: '/old/x' })
    })

    it('refuses a target that is neither a path nor a URL', async () => {
      const backend = await answering()
      const { balancer, completed } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer })
      const port = await serveApp(app)
      for (const target of ['*', 'ftp://h/x']) {
        const client = await rawClient(port, `OPTIONS ${target} HTTP/1.1\r\nHost: a\r\n\r\n`)
        await client.ended
        expect(client.text()).toMatch(/^HTTP\/1\.1 400 /)
      }
      expect((await completed(2)).map(({ lb }) => lb.result)).toEqual(['malformed', 'malformed'])
    })

    it('shows the hooks of the app the headers as they came, whatever the type', async () => {
      const { balancer, completed } = recorded({ backends: [await answering()] })
      const app = fastify()
      const seen: unknown[] = []
      for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler'] as const)
        app.addHook(name as 'onRequest', async (request) => void seen.push(request.headers['content-type']))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      const cases = [
        ['POST', 'foo'],
        [version === 4 ? 'SEARCH' : 'QUERY', undefined],
        ['GET', 'foo'],
        ['REPORT', 'foo'],
        ['PUT', 'text/plain'],
      ] as const
      for (const [method, type] of cases)
        await send(port, { method, path: '/api/x', headers: type === undefined ? [] : ['Content-Type', type] })
      await completed(cases.length)
      expect(seen).toEqual(cases.flatMap(([, type]) => [type, type, type, type]))
    })

    it('lets the hooks of the app refuse what Fastify itself would have refused', async () => {
      const backend = await answering()
      const { balancer, completions } = recorded({ backends: [backend] })
      const app = fastify()
      app.addHook('preHandler', async (_request, reply) => reply.code(401).send('who are you?'))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      for (const method of ['POST', 'QUERY', 'PROPFIND', 'M-SEARCH'].filter((one) => methodsOf(version).includes(one)))
        expect(await send(port, { method, path: '/api/x', headers: ['Content-Type', 'foo'] })).toMatchObject({
          status: 401,
        })
      expect([backend.seen, completions()]).toEqual([[], []])
    })

    if (version === 5)
      it('answers a method that it added with 404 elsewhere, and goes beside another of its kind', async () => {
        const { balancer, completed } = recorded({ backends: [await answering()] })
        const app = fastify()
        app.addHttpMethod('PROPFIND', { hasBody: true })
        app.register(fastifyBalancer, { balancer, prefix: '/a' })
        app.register(fastifyBalancer, { balancer, prefix: '/b' })
        const port = await serveApp(app)
        for (const method of ['PROPFIND', 'SEARCH'])
          for (const [path, status] of [
            ['/a/x', 200],
            ['/b/x', 200],
            ['/c', 404],
          ] as const)
            expect(await send(port, { method, path })).toMatchObject({ status })
        await completed(4)
      })

    it('leaves the routes of the app alone', async () => {
      const { balancer, completions } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.post('/own', async (request) => request.body)
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      const reply = await send(port, {
        method: 'POST',
        path: '/own',
        body: '{"a":1}',
        headers: ['Content-Type', 'application/json'],
      })
      expect(reply).toMatchObject({ status: 200, body: '{"a":1}' })
      expect(await send(port, { path: '/elsewhere' })).toMatchObject({ status: 404 })
      expect(completions()).toEqual([])
    })

    it('runs the hooks of the app first', async () => {
      const backend = await answering()
      const { balancer, completions } = recorded({ backends: [backend] })
      const app = fastify()
      app.addHook('preHandler', async (request, reply) => {
        if (request.headers.authorization === undefined) await reply.code(401).send('who are you?')
      })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 401 })
      expect([backend.seen, completions()]).toEqual([[], []])
      expect(await send(port, { path: '/api/x', headers: ['Authorization', 'me'] })).toMatchObject({ status: 200 })
    })
  })
}
