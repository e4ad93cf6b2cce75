// Tunnels through a Fastify app: WebSockets below a mount, behind its hooks.
import type { Socket } from 'node:net'
import type { FastifyServerOptions } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { attach } from '../../src/adapters/node.ts'
import { answering } from '../support/backends.ts'
import { recorded } from '../support/edge.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { rawClient } from '../support/raw-client.ts'
import { switching } from '../support/switching.ts'
import { until } from '../support/until.ts'
import { handshake } from '../support/upgrades.ts'

/** A backend that sends every message back. */
async function echoes(): Promise<{ url: string }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })))
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}` }
}

function echoed(url: string, messages: readonly string[], headers: Record<string, string> = {}): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const got: string[] = []
    const socket = new WebSocket(url, { headers })
    socket.on('error', reject)
    socket.on('open', () => {
      for (const message of messages) socket.send(message)
    })
    socket.on('message', (data) => {
      got.push(String(data))
      if (got.length === messages.length) socket.close()
    })
    socket.on('close', () => resolve(got))
  })
}

const messages = ['one', 'two', 'x'.repeat(100_000)]

for (const [version, fastify] of versions)
  describe(`tunnels through Fastify ${version}`, () => {
    for (const onError of ['answer', 'throw'] as const)
      it(`carry a WebSocket behind the hooks, where failures are for: ${onError}`, async () => {
        const { balancer, one } = recorded({ backends: [await echoes()] })
        const options = version === 5 && onError === 'throw' ? { handlerTimeout: 60_000 } : {}
        const app = fastify(options as FastifyServerOptions)
        app.addHook('onRequest', async (_request, reply) => void reply.header('x-host', 'yes'))
        app.register(fastifyBalancer, {
          balancer,
          prefix: '/api',
          onError,
          preHandler: async (request, reply) =>
            request.headers.authorization === undefined ? reply.code(401).send('who are you?') : undefined,
        })
        const port = await serveApp(app)
        await expect(echoed(`ws://127.0.0.1:${port}/api/x`, messages)).rejects.toThrow(/401/)
        const url = `ws://127.0.0.1:${port}/api/x?y=1`
        expect(await echoed(url, messages, { authorization: 'me' })).toEqual(messages)
        expect(await one()).toMatchObject({
          lb: { result: 'ok' },
          http: { route: '/api', response: { status_code: 101 } },
          url: { path: '/x', original_path: '/api/x' },
        })
      })

    it('give the client the headers that hooks have set, and what it sent early to the backend', async () => {
      const backend = await switching()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      app.addHook('onRequest', async (_request, reply) => void reply.header('x-host', 'yes'))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), `${handshake('/api/x')}early`)
      await client.has('early')
      client.write(' and late')
      await client.has('early and late')
      expect(client.text()).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n[\s\S]*x-host: yes\r\n/)
      expect(backend.heads[0]).toMatch(/^GET \/x HTTP\/1\.1\r\n/)
      client.socket.end()
      await client.ended
      await one()
    })

    it('are not opened past the hooks, where a balancer is attached to the server of the app', async () => {
      const backend = await answering()
      const { balancer, completions } = recorded({ backends: [backend] })
      for (const upgrades of [true, false]) {
        const app = fastify()
        app.get('/own', async () => 'own')
        app.register(fastifyBalancer, {
          balancer,
          prefix: '/api',
          upgrades,
          preHandler: async (_request, reply) => reply.code(401).send('who are you?'),
        })
        attach(app.server, balancer)
        const port = await serveApp(app)
        for (const [path, status] of [
          ['/api/x', 401],
          ['/own', 200],
          ['/nowhere', 404],
        ] as const) {
          const client = await rawClient(port, handshake(path))
          await client.has(`HTTP/1.1 ${status} `)
        }
      }
      expect([backend.seen, completions()]).toEqual([[], []])
    })

    it('go to a path beside the app that a balancer is attached for', async () => {
      const backend = await switching()
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      attach(app.server, { '/live': balancer })
      const client = await rawClient(await serveApp(app), handshake('/live/x'))
      await client.has('HTTP/1.1 101 ')
      client.socket.end()
      await client.ended
      expect(await one()).toMatchObject({ http: { route: '/live' }, url: { path: '/x' } })
    })

    it('are refused by the balancer, as what it does not take is a request as any other', async () => {
      const backend = await answering()
      const { balancer, one } = recorded({ backends: [backend], upgrades: { protocols: ['chat'] } })
      const app = fastify()
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.has('\r\n\r\nok')
      expect(client.text()).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*connection: keep-alive/i)
      expect(backend.seen[0]!.rawHeaders.join()).not.toMatch(/upgrade/i)
      await one()
    })

    it('are cut off when the app closes, which does not wait for them', async () => {
      for (const closedBefore of [false, true]) {
        const sockets = new Set<Socket>()
        const { balancer, one } = recorded({
          backends: [
            await switching({
              after: (socket) => {
                sockets.add(socket)
                socket.on('close', () => sockets.delete(socket))
                socket.resume()
              },
            }),
          ],
        })
        const app = fastify()
        app.register(fastifyBalancer, { balancer, prefix: '/api' })
        const port = await serveApp(app)
        const client = await rawClient(port, handshake('/api/x'))
        await client.has('101')
        if (closedBefore) await balancer.close({ deadlineMs: 50 })
        await app.close()
        await client.ended
        await until(() => sockets.size === 0)
        expect(await one()).toMatchObject({
          http: { response: { status_code: 101 } },
          lb: { result: closedBefore ? 'closing' : 'internal', tunnel: { closed_by: 'balancer' } },
        })
      }
    })

    it('are cut off where the balancer closes with the app, before Fastify gives up the hook', async () => {
      const { balancer, one } = recorded({ backends: [await switching()] })
      const app = fastify({ pluginTimeout: 5000 })
      app.register(fastifyBalancer, { balancer, prefix: '/api', closeBalancer: true })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.has('101')
      await app.close()
      await client.ended
      expect((await one()).lb).toMatchObject({ result: 'closing', tunnel: { closed_by: 'balancer' } })
    })

    it.each(['answer', 'throw'] as const)('outlive all times that Fastify has (for: %s)', async (onError) => {
      const { balancer, one } = recorded({ backends: [await switching()] })
      const times = { connectionTimeout: 2000, requestTimeout: 2000, keepAliveTimeout: 2000 }
      const app = fastify({ ...times, ...(version === 5 ? { handlerTimeout: 2000 } : {}) } as FastifyServerOptions)
      app.register(fastifyBalancer, { balancer, prefix: '/api', onError })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.has('101')
      const other = await rawClient((app.server.address() as { port: number }).port)
      // One that says nothing is closed after the same time.
      await other.ended
      client.write('late')
      await client.has(/late$/)
      client.socket.end()
      expect((await one()).lb.result).toBe('ok')
    })

    it('answer a backend that does not switch as it answers', async () => {
      const backend = await switching({
        answer: (socket) => {
          socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno')
          return false
        },
      })
      const { balancer, one } = recorded({ backends: [backend] })
      const app = fastify()
      const responded: number[] = []
      app.addHook('onResponse', async (_request, reply) => void responded.push(reply.statusCode))
      app.register(fastifyBalancer, { balancer, prefix: '/api' })
      const client = await rawClient(await serveApp(app), handshake('/api/x'))
      await client.ended
      expect(client.text()).toMatch(/^HTTP\/1\.1 403 Forbidden\r\n[\s\S]*no$/)
      await one()
      await until(() => responded.length === 1)
      expect(responded).toEqual([403])
    })
  })
