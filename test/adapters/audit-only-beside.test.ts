// auditOnly on a server that balancers serve too: each request has one record, and nobody is left without an answer.
import { createServer } from 'node:http'
import express from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { fastifyBalancer } from '../../src/adapters/fastify.ts'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { serveApp as serveExpress } from '../support/express.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { serveApp, versions } from '../support/fastify.ts'
import { rawClient, rawExchange, send } from '../support/raw-client.ts'
import { asking, switching } from '../support/switching.ts'
import { until } from '../support/until.ts'

const at = (path: string): string =>
  asking('chat').replace('/chat', path).replace('Connection: Upgrade', 'Connection: Upgrade, close')

describe('auditOnly beside balancers', () => {
  for (const order of ['before', 'after'])
    it(`of attach, ${order} them, records what the host answers once, and takes no upgrade away`, async () => {
      const [shop, api] = [recorded({ backends: [] }), recorded({ backends: [await switching()] })]
      const server = createServer((_request, response) => response.end('own'))
      closeAfterTest(server)
      if (order === 'before') attach(server, shop.balancer, { auditOnly: true })
      attach(server, { '/api': api.balancer })
      if (order === 'after') attach(server, shop.balancer, { auditOnly: true })
      const port = await listen(server)
      const client = await rawClient(port, at('/api/x'))
      await client.has('HTTP/1.1 101 ')
      client.socket.end()
      expect((await api.one()).http).toMatchObject({ route: '/api', response: { status_code: 101 } })
      expect(await rawExchange(port, at('/own'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*own/)
      expect((await shop.one()).http.response.status_code).toBe(200)
      expect(api.completions()).toHaveLength(1)
    })

  it('hands a request over that was told to have come in, under the same id, which is told once', async () => {
    const clock = fakeClock()
    const lb = recorded({ backends: [await answering()], clock })
    const hop = nodeHandler(lb.balancer)
    let goOn: (() => void) | undefined
    const server = createServer(
      nodeHandler(lb.balancer, {
        auditOnly: true,
        handler: (request, response) => {
          goOn = () => hop(request, response)
        },
      }),
    )
    closeAfterTest(server)
    const reply = send(await listen(server))
    await until(() => goOn !== undefined)
    const received: string[] = []
    lb.balancer.audit.on('request.received', (event) => void received.push(event.lb.request_id))
    clock.advance(11_000)
    await until(() => received.length === 1)
    goOn!()
    expect((await reply).body).toBe('ok')
    clock.advance(11_000)
    expect((await lb.one()).lb).toMatchObject({ request_id: received[0], attempts: [{ result: 'ok' }] })
    expect(received).toHaveLength(1)
  })

  it('leaves an upgrade that the balancer ignores one record', async () => {
    const [shop, api] = [
      recorded({ backends: [] }),
      recorded({ backends: [await answering()], upgrades: { protocols: ['other'] } }),
    ]
    const server = createServer(nodeHandler(api.balancer))
    closeAfterTest(server)
    attach(attach(server, api.balancer), shop.balancer, { auditOnly: true })
    expect(await rawExchange(await listen(server), at('/x'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*ok/)
    expect((await api.one()).http.response.status_code).toBe(200)
    expect(shop.completions()).toEqual([])
  })

  it('stays out of the way of upgrades once the host listens for none any more, however often it watches', async () => {
    const [a, b] = [recorded({ backends: [] }), recorded({ backends: [] })]
    const server = createServer((_request, response) => response.end('own'))
    closeAfterTest(server)
    for (const { balancer } of [a, b]) attach(server, balancer, { auditOnly: true })
    const listener = (): void => undefined
    server.on('upgrade', listener)
    server.off('upgrade', listener)
    expect(await rawExchange(await listen(server), at('/x'))).toMatch(/^HTTP\/1\.1 200 /)
    await Promise.race([a.one(), b.one()])
    expect(a.completions().length + b.completions().length).toBe(1)
  })

  it('with balancers by path has each record what is below its path, and no more', async () => {
    const [a, b] = [recorded({ backends: [] }), recorded({ backends: [] })]
    const server = createServer((_request, response) => response.end('own'))
    closeAfterTest(server)
    attach(server, { '/a': a.balancer, '/b': b.balancer }, { auditOnly: true })
    const port = await listen(server)
    for (const path of ['/a/x', '/b', '/ab', '/b/y?z']) await send(port, { path })
    expect((await a.completed(1)).map(({ url }) => url.path)).toEqual(['/a/x'])
    expect((await b.completed(2)).map(({ url }) => url.path)).toEqual(['/b', '/b/y'])
  })

  for (const [version, fastify] of versions)
    it(`on the server of Fastify ${version} leaves upgrades below no mount to the app`, async () => {
      const [shop, api] = [recorded({ backends: [] }), recorded({ backends: [await answering()] })]
      const app = fastify()
      app.get('/own', async () => 'own')
      app.register(fastifyBalancer, { balancer: api.balancer, prefix: '/api' })
      const port = await serveApp(app)
      attach(app.server, shop.balancer, { auditOnly: true })
      expect(await rawExchange(port, at('/own'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*own/)
      expect((await shop.one()).http.response.status_code).toBe(200)
    })

  it('is refused where it is anything but true, or beside what is no balancer', () => {
    const { balancer } = recorded({ backends: [] })
    const wrong: readonly (() => unknown)[] = [
      () => attach(createServer(), balancer, { auditOnly: false } as never),
      () => nodeHandler(balancer, { auditOnly: false } as never),
      () => nodeHandler(balancer, { auditOnly: true, handler: 'none' } as never),
      () => nodeHandler(balancer, { auditOnly: true, route: 1 } as never),
      () => nodeHandler({} as never),
      () => expressBalancer({} as never),
    ]
    for (const make of wrong) expect(make).toThrow(expect.objectContaining({ code: 'config-invalid' }))
  })

  it('twice in one app of Express tells the last route', async () => {
    const shop = recorded({ backends: [] })
    const app = express()
    for (let i = 0; i < 2; i++) app.use(expressBalancer(shop.balancer, { auditOnly: true }))
    app.get('/item/:id', (_request, response) => void response.send('own'))
    await send(await serveExpress(app), { path: '/item/1' })
    expect((await shop.one()).http.route).toBe('/item/:id')
  })
})
