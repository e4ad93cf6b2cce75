// Upgrades in a Fastify app: below a mount they pass its hooks, elsewhere they are what they were without the balancer.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { answering, refusing } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'
import { handshake } from '../support/upgrades.ts'

const wait = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Routes every upgrade of an app, and serves its own there, as plugins do that bring WebSockets to Fastify. */
function bringWebSockets(app: FastifyInstance): Set<string | undefined> {
  const sockets = new WebSocketServer({ noServer: true })
  const asked = new WeakMap<IncomingMessage, { socket: Socket; head: Buffer }>()
  const served = new Set<string | undefined>()
  app.server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    asked.set(request, { socket, head })
    const response = new ServerResponse(request)
    response.assignSocket(socket)
    app.routing(request, response)
  })
  app.addHook('onRoute', (route) => {
    const { handler } = route
    route.handler = function (request, reply) {
      const upgrade = asked.get(request.raw)
      if (upgrade === undefined) return handler.call(this, request, reply)
      reply.hijack()
      served.add(request.raw.url)
      sockets.handleUpgrade(request.raw, upgrade.socket, upgrade.head, (socket) => socket.close(4000, 'theirs'))
      return undefined
    }
  })
  onTestFinished(() => sockets.close())
  return served
}

const closeOf = (url: string): Promise<[number, string]> =>
  new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.on('error', reject)
    socket.on('close', (code, reason) => resolve([code, String(reason)]))
  })

for (const [version, fastify] of versions) {
  describe(`upgrades below a mount of Fastify ${version}`, () => {
    it('run through the hooks of the app and of the mount, and go on', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      const ran: string[] = []
      app.addHook('onRequest', async (_request, reply) => {
        ran.push('onRequest')
        reply.header('x-host', 'yes')
      })
      app.addHook('preHandler', async () => void ran.push('app'))
      app.register(fastifyBalancer, {
        balancer,
        prefix: '/t/:tenant',
        rewritePrefix: '/v1',
        preHandler: async (request) => void ran.push((request.params as { tenant: string }).tenant),
      })
      const client = await rawClient(await serveApp(app), handshake('/t/acme/x?q=1'))
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: close\r\n[\s\S]*ok/i)
      expect(client.text()).toContain('x-host: yes\r\n')
      expect(ran).toEqual(['onRequest', 'app', 'acme'])
      expect(backend.seen).toMatchObject([{ method: 'GET', url: '/v1/x?q=1' }])
      expect(await one()).toMatchObject({
        url: { path: '/v1/x', original_path: '/t/acme/x' },
        http: { route: '/t/:tenant' },
        lb: { app_request_id: expect.any(String) },
      })
    })

    it('are refused by a hook, after a while too, and closed then', async () => {
      const backend = await answering()
      const { balancer, completions } = recorded({ backends: [backend] })
      const app = fastify()
      const responded: unknown[] = []
      app.addHook('onResponse', async (_request, reply) => void responded.push(reply.statusCode))
      app.register(fastifyBalancer, {
        balancer,
        prefix: '/api',
        preHandler: async (_request, reply) => {
          await wait()
          return reply.code(401).send('who are you?')
        },
      })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      expect(await client.ended).toBe('fin')
      expect(client.text()).toMatch(/^HTTP\/1\.1 401 [\s\S]*connection: close\r\n[\s\S]*who are you\?/i)
      await until(() => responded.length === 1)
      expect([backend.seen, completions(), responded]).toEqual([[], [], [401]])
    })

    it('survive a client that resets the connection while a hook runs', async () => {
      const { balancer, completed } = recorded({ backends: [await answering()] })
      const app = fastify()
      let running = 0
      let go = (): void => undefined
      const gone = new Promise<void>((resolve) => {
        go = resolve
      })
      app.register(fastifyBalancer, {
        balancer,
        prefix: '/api',
        onRequest: async (request) => {
          if (request.raw.headers.upgrade === undefined) return
          running++
          await gone
        },
      })
      const port = await serveApp(app)
      for (let i = 0; i < 5; i++) {
        const client = await rawClient(port, handshake('/api/x'))
        await until(() => running === i + 1)
        client.socket.resetAndDestroy()
        await client.ended
      }
      go()
      expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 200 })
      await completed(6)
    })

    it('are answered in turn, behind the requests that came before them on the connection', async () => {
      const { balancer, completed } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.get('/slow', (_request, reply) => void setTimeout(() => reply.send('slow'), 50))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), `GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${handshake('/api/x')}`)
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 200 [\s\S]*slowHTTP\/1\.1 200 [\s\S]*ok/)
      await completed(1)
    })

    it('go to the error handler of the app where they fail, if that answers', async () => {
      const { balancer, one } = recorded({ backends: [await refusing()] })
      const app = fastify()
      app.setErrorHandler((_error, _request, reply) => reply.code(502).send({ mine: true }))
      app.register(fastifyBalancer, { balancer, prefix: '/api', onError: 'throw' })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 502 [\s\S]*\{"mine":true\}/)
      expect(await one()).toMatchObject({ lb: { result: 'connect-refused' } })
    })

    it('refuse dot segments', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), handshake('/api/%2e%2e/x'))
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 400 /)
      expect(await one()).toMatchObject({ lb: { result: 'malformed' } })
      expect(backend.seen).toEqual([])
    })

    it('go to the mount that holds them, where there are several', async () => {
      const [one, two] = [await answering(), await answering()]
      const [first, second] = [recorded({ backends: [one] }), recorded({ backends: [two] })]
      const app = fastify()
      app.register(fastifyBalancer, { balancer: first.balancer, prefix: '/one' })
      app.register(async (inner) => void inner.register(fastifyBalancer, { balancer: second.balancer, prefix: '/x' }), {
        prefix: '/two',
      })
      const port = await serveApp(app)
      for (const path of ['/one/a', '/two/x/b', '/%6fne/c', '/two/x', '/one?d'])
        await (await rawClient(port, handshake(path))).ended
      expect([one.seen.map(({ url }) => url), two.seen.map(({ url }) => url)]).toEqual([
        ['/a', '/c', '/?d'],
        ['/b', '/'],
      ])
      await first.completed(3)
      await second.completed(2)
    })

    it('go to it beside a plugin that routes all upgrades of the app, and that keeps its own', async () => {
      const { balancer, completed } = recorded({ backends: [await answering()] })
      const app = fastify()
      const served = bringWebSockets(app)
      app.addHook('onRequest', wait)
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const port = await serveApp(app)
      const client = await rawClient(port, handshake('/api/x'))
      await client.has('200 OK')
      expect(await closeOf(`ws://127.0.0.1:${port}/own`)).toEqual([4000, 'theirs'])
      expect([...served]).toEqual(['/own'])
      client.socket.destroy()
      await completed(1)
    })

    it('are left to such a plugin where they are not to be taken, whatever other mounts take', async () => {
      const { balancer, completions } = recorded({ backends: [await answering()] })
      const app = fastify()
      const served = bringWebSockets(app)
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      app.register(fastifyBalancer, { balancer, prefix: '/plain', upgrades: false })
      const port = await serveApp(app)
      expect(await closeOf(`ws://127.0.0.1:${port}/plain/x`)).toEqual([4000, 'theirs'])
      expect([[...served], completions()]).toEqual([['/plain/x'], []])
    })

    it('are requests as any other where they are not to be taken', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api', upgrades: false })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.has('\r\n\r\nok')
      expect(client.text()).toMatch(/connection: keep-alive/i)
      await one()
    })

    it('do not hold up the close of the app', async () => {
      const { balancer } = recorded({ backends: [await answering(() => undefined)] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await until(() => balancer.snapshot().inFlight === 1)
      await app.close()
      await client.ended
      await until(() => balancer.snapshot().inFlight === 0)
    })
  })

  describe(`upgrades elsewhere in an app of Fastify ${version}`, () => {
    const beside = async (prepare: (app: FastifyInstance) => void = () => undefined) => {
      const record = recorded({ backends: [await answering()] })
      const app = fastify()
      app.post('/own', async (request) => request.body)
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, { balancer: record.balancer, prefix: '/api' })
      prepare(app)
      return { ...record, port: await serveApp(app) }
    }

    it('are requests as any other, with their bodies, and with those that follow', async () => {
      const { port, completions } = await beside()
      const body = '{"a":1}'
      const client = await rawClient(
        port,
        'POST /own HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n' +
          `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body.slice(0, 3)}`,
      )
      await wait()
      client.write(`${body.slice(3)}GET /own HTTP/1.1\r\nHost: a\r\n\r\n${handshake('/own', 'X-A: \xe9\r\n')}`)
      await client.has(/"a":1[\s\S]*own[\s\S]*own/)
      client.write(handshake('/nowhere'))
      await client.has('404')
      expect(client.text().match(/HTTP\/1\.1 \d+/g)).toEqual([
        'HTTP/1.1 200',
        'HTTP/1.1 200',
        'HTTP/1.1 200',
        'HTTP/1.1 404',
      ])
      expect(completions()).toEqual([])
    })

    it('are answered by the app, and closed, with more headers than Node keeps', async () => {
      const { balancer } = recorded({ backends: [await answering()] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const many = Array.from({ length: 1100 }, (_, i) => `h${i}: 1\r\n`).join('')
      const client = await rawClient(await serveApp(app), handshake('/other').replace('\r\n\r\n', `\r\n${many}\r\n`))
      expect(await client.ended).toBe('fin')
      expect(client.text()).toMatch(/^HTTP\/1\.1 404 /)
    })

    it('are left to the others that listen for them', async () => {
      const seen: unknown[] = []
      const { port } = await beside((app) =>
        app.server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
          if (request.url !== '/theirs') return
          seen.push(request.url)
          socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n')
        }),
      )
      const client = await rawClient(port, handshake('/theirs'))
      await client.ended
      expect(client.text()).toBe('HTTP/1.1 101 Switching Protocols\r\n\r\n')
      expect(seen).toEqual(['/theirs'])
      const ours = await rawClient(port, handshake('/api/x'))
      await ours.has('ok')
    })

    it('have their record, where the app records its own requests', async () => {
      const { balancer, completed } = recorded({ backends: [] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, auditOnly: true })
      bringWebSockets(app)
      app.get('/own', async () => 'own')
      const port = await serveApp(app)
      expect(await closeOf(`ws://127.0.0.1:${port}/own`)).toEqual([4000, 'theirs'])
      const [record] = await completed(1)
      expect(record).toMatchObject({ lb: { result: 'ok', ended_by: 'host' }, http: { route: '/own' } })
      expect(record!.http.response.status_code).toBeUndefined()
    })
  })
}
