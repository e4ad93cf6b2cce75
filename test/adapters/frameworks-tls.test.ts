// The adapters of frameworks over TLS, and over HTTP/2 where a framework speaks it.

import { constants } from 'node:http2'
import { createServer } from 'node:https'
import type { FastifyInstance } from 'fastify'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { attach } from '../../src/adapters/node.ts'
import { answering, httpBackend, refusing, saying } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { expressVersions, presetting } from '../support/express.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { http2Session, send2 } from '../support/http2-client.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { asking, switching } from '../support/switching.ts'
import { selfSigned } from '../support/tls.ts'
import { plainFront } from '../support/tls-front.ts'
import { until } from '../support/until.ts'

for (const { name, express } of expressVersions)
  describe(`${name} over https`, () => {
    it('passes requests on, with the scheme, and headers of the app', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = express()
      app.use(presetting({ 'x-host': '1' }))
      app.use('/api', expressBalancer(balancer))
      const server = createServer(selfSigned(), app)
      closeAfterTest(server)
      const reply = await send(await plainFront(await listen(server)), { method: 'POST', path: '/api/x', body: 'body' })
      expect(reply).toMatchObject({ status: 200, body: 'ok', headers: { 'x-host': '1' } })
      expect(backend.seen).toMatchObject([{ url: '/x', body: 'body' }])
      expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-proto')).toEqual(['https'])
      expect(await one()).toMatchObject({ http: { route: '/api' }, tls: { protocol: { name: 'tls' } } })
    })
  })

for (const [version, fastify] of versions) {
  const make = (options: object): FastifyInstance => fastify(options as never) as unknown as FastifyInstance

  describe(`Fastify ${version} over https`, () => {
    it('passes requests and upgrades on, with the scheme', async () => {
      const { balancer, completed } = recorded({ backends: [await switching()] })
      const app = make({ https: selfSigned() })
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await plainFront(await serveApp(app)), asking('chat').replace('/chat', '/api/x'))
      await client.has('HTTP/1.1 101 ')
      client.write('hello')
      await client.has('hello')
      client.socket.end()
      expect(await completed(1)).toMatchObject([{ lb: { result: 'ok' }, tls: { protocol: { name: 'tls' } } }])
    })
  })

  describe(`Fastify ${version} over HTTP/2`, () => {
    for (const encrypted of [false, true])
      it(`passes bodies, headers and trailers on both ways, ${encrypted ? 'encrypted' : 'plain'}`, async () => {
        const backend = await httpBackend((request, response) => {
          response.writeHead(200, [
            'Set-Cookie',
            'a=1',
            'Set-Cookie',
            'b=2',
            'Connection',
            'X-Hop',
            'X-Hop',
            '1',
            'Trailer',
            'x-t',
          ] as never)
          request.on('data', (chunk) => response.write(chunk))
          request.on('end', () => {
            response.addTrailers({ 'x-t': '1' })
            response.end()
          })
        })
        const { balancer, one } = recorded({ backends: [backend] })
        const app = make({ http2: true, ...(encrypted ? { https: selfSigned() } : {}) })
        app.addHook(
          'onRequest',
          async (_request, reply) => void reply.header('set-cookie', 'host=1').header('x-host', '1'),
        )
        app.register(fastifyBalancer, { balancer, prefix: '/api' })
        attach(app.server, balancer)
        const session = http2Session(await serveApp(app), encrypted)
        const body = 'x'.repeat(200_000)
        const reply = await send2(session, { ':method': 'POST', ':path': '/api/x?y' }, body)
        expect([reply.status, reply.body.length, reply.code, reply.trailers['x-t']]).toEqual([200, 200_000, 0, '1'])
        expect(reply.headers).toMatchObject({
          'set-cookie': expect.arrayContaining(['a=1', 'b=2', 'host=1']),
          'x-host': '1',
        })
        expect(reply.headers['x-hop']).toBeUndefined()
        expect(await one()).toMatchObject({
          http: { route: '/api', request: { body: { size: 200_000 } }, response: { body: { size: 200_000 } } },
          lb: { result: 'ok' },
          url: { path: '/x', original_path: '/api/x' },
        })
      })

    for (const onError of ['answer', 'throw'] as const)
      it(`answers what fails: ${onError}`, async () => {
        const { balancer, completed } = recorded({ backends: [await refusing()] })
        const app = make({ http2: true })
        app.setErrorHandler(async (error, _request, reply) => reply.code(599).send((error as { code: string }).code))
        app.register(fastifyBalancer, { balancer, prefix: '/api', onError })
        const session = http2Session(await serveApp(app))
        const reply = await send2(session, { ':path': '/api/x' })
        expect(reply.status).toBe(onError === 'throw' ? 599 : 502)
        expect(reply.body).toContain('connect-refused')
        expect((await send2(session, { ':path': '/api/../x' })).status).toBe(400)
        expect((await completed(2)).map(({ lb }) => lb.result).sort()).toEqual(['connect-refused', 'malformed'])
      })

    it('resets the stream alone where the backend is cut off, and cancels the backend where the client resets', async () => {
      const cut = await saying('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf', 'fin')
      const hangs = await httpBackend((_request, response) => void response.write('some'))
      const [a, b] = [recorded({ backends: [cut] }), recorded({ backends: [hangs] })]
      const app = make({ http2: true })
      app.register(fastifyBalancer, { balancer: a.balancer, prefix: '/a' })
      app.register(fastifyBalancer, { balancer: b.balancer, prefix: '/b' })
      const session = http2Session(await serveApp(app))
      const left = session.request({ ':path': '/b/x' })
      left.on('error', () => undefined)
      await new Promise((resolve) => left.once('data', resolve))
      expect((await send2(session, { ':path': '/a/x' })).code).toBe(constants.NGHTTP2_INTERNAL_ERROR)
      expect((await a.one()).lb.result).toBe('backend-cut')
      expect([session.destroyed, left.destroyed, hangs.sockets.size]).toEqual([false, false, 1])
      left.close(constants.NGHTTP2_CANCEL)
      expect((await b.one()).lb.result).toBe('client-gone')
      await until(() => hangs.sockets.size === 0)
    })

    it('has the records of the app, and closes', async () => {
      const { balancer, completed } = recorded({ backends: [] })
      const app = make({ http2: true })
      app.register(fastifyBalancer, { balancer, auditOnly: true, closeBalancer: true })
      app.get('/own/:id', async () => 'own')
      const session = http2Session(await serveApp(app))
      for (const path of ['/own/1', '/none']) await send2(session, { ':path': path })
      expect((await completed(2)).map(({ http }) => [http.route, http.response.status_code])).toEqual([
        ['/own/:id', 200],
        [undefined, 404],
      ])
      // Node's server of HTTP/2 waits for its sessions.
      session.close()
      await app.close()
      expect(balancer.snapshot().state).toBe('closed')
    })
  })
}
