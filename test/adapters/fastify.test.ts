// The adapter for Fastify keeps what every adapter promises, and puts another prefix in the place of its own.
import fastify, { type FastifyInstance } from 'fastify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'
import { conforms, preset } from './conformance.ts'

async function serve(app: FastifyInstance): Promise<number> {
  onTestFinished(() => app.close())
  await app.ready()
  closeAfterTest(app.server)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as { port: number }).port
}

conforms({
  name: 'fastifyBalancer',
  prefix: '/api',
  start(balancer, options) {
    const app = fastify()
    if (options.preset) app.addHook('onRequest', async (_request, reply) => void reply.headers(preset as never))
    app.register(fastifyBalancer, { balancer, prefix: '/api' })
    return serve(app)
  },
})

describe('fastifyBalancer', () => {
  const paths = async (options: { prefix?: string; rewritePrefix?: string }, asked: string[]) => {
    const backend = await answering()
    const { balancer, completed } = recorded({ backends: [backend] })
    const app = fastify()
    app.get('/own', async () => 'own')
    app.register(fastifyBalancer, { balancer, ...options })
    const port = await serve(app)
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

  it('strips a prefix with a parameter by what it matched', async () => {
    expect(await paths({ prefix: '/t/:tenant' }, ['/t/acme-and-sons/x?y', '/t/a', '/t/a/b/c'])).toEqual([
      '/x?y',
      '/',
      '/b/c',
    ])
  })

  it('leaves the routes of the app alone', async () => {
    const { balancer, completions } = recorded({ backends: [await answering()] })
    const app = fastify()
    app.post('/own', async (request) => request.body)
    app.register(fastifyBalancer, { balancer, prefix: '/api' })
    const port = await serve(app)
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
    const port = await serve(app)
    expect(await send(port, { path: '/api/x' })).toMatchObject({ status: 401 })
    expect([backend.seen, completions()]).toEqual([[], []])
    expect(await send(port, { path: '/api/x', headers: ['Authorization', 'me'] })).toMatchObject({ status: 200 })
  })
})
