// Several balancers on one server, each with the upgrades below its own path.
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import express, { type RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import { expressBalancer } from '../../src/adapters/express.ts'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import type { Balancer } from '../../src/face.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { rawClient, rawExchange } from '../support/raw-client.ts'
import { asking, switching } from '../support/switching.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

const at = (path: string, token = 'chat'): string => asking(token).replace('/chat', path)

/** A balancer of one backend, which switches to everything. */
async function one() {
  const backend = await switching()
  return { ...recorded({ backends: [backend] }), heads: backend.heads }
}

async function serve(
  target: Parameters<typeof attach>[1],
  app?: Parameters<typeof createServer>[1],
): Promise<[number, Server]> {
  const server = attach(createServer(app ?? ((_, response) => response.writeHead(404).end('not here'))), target)
  closeAfterTest(server)
  return [await listen(server), server]
}

async function tunnel(port: number, path: string): Promise<void> {
  const client = await rawClient(port, at(path))
  await client.has('HTTP/1.1 101 ')
  client.socket.end()
}

describe('attach with balancers by path', () => {
  it('gives each the upgrades below its path, the longest first, and strips it', async () => {
    const [a, ab, other] = [await one(), await one(), await one()]
    const [port] = await serve({ '/a': a.balancer, '/a/b/': ab.balancer, '/other': other.balancer })
    for (const path of ['/a', '/a?x=1', '/a/bc', '/a/b', '/a/b/c?d', 'http://edge.test/other/x'])
      await tunnel(port, path)
    const asked = ({ heads }: { heads: string[] }): string[] => heads.map((head) => head.split(' ')[1]!).sort()
    await a.completed(3)
    await ab.completed(2)
    await other.completed(1)
    expect([asked(a), asked(ab), asked(other)]).toEqual([['/', '/?x=1', '/bc'], ['/', '/c?d'], ['/x']])
    expect(ab.completions().map(({ url, http }) => [url.original_path, url.path, http.route])).toEqual([
      ['/a/b', '/', '/a/b'],
      ['/a/b/c', '/c', '/a/b'],
    ])
  })

  it.each(['/a/../b', '/a/%2e%2e/b', '/a/..', '/a/x/.%2e/%2e./y', '/a/..;/b'])(
    'refuses %s, which would leave its mount',
    async (path) => {
      const a = await one()
      const [port] = await serve({ '/a': a.balancer })
      expect(await rawExchange(port, at(path))).toMatch(/^HTTP\/1\.1 400 /)
      expect([(await a.one()).lb.result, a.heads]).toEqual(['malformed', []])
    },
  )

  it.each([
    ['ends', (socket: Duplex) => void socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n'), /^HTTP\/1\.1 401 .*\r\n\r\n$/],
    ['destroys', (socket: Duplex) => void socket.destroy(), /^$/],
  ])('sends nothing to a backend where a listener before it %s the connection', async (_, refuse, answer) => {
    const a = await one()
    const [port, server] = await serve({ '/a': a.balancer })
    server.prependListener('upgrade', (_request: IncomingMessage, socket: Duplex) => refuse(socket))
    expect(await rawExchange(port, at('/a/x'))).toMatch(answer)
    expect(await a.one()).toMatchObject({ outcome: 'failure', lb: { attempts: [] } })
    expect(a.heads).toEqual([])
    expect(a.balancer.snapshot()).toMatchObject({ inFlight: 0, tunnels: 0 })
  })

  it('leaves what is below none to the other listeners of the server', async () => {
    const a = await one()
    const [port, server] = await serve({ '/a': a.balancer })
    server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
      if (request.url === '/own') socket.end('HTTP/1.1 101 Mine\r\n\r\n')
    })
    expect(await rawExchange(port, at('/own'))).toMatch(/^HTTP\/1\.1 101 Mine/)
    await tunnel(port, '/a/x')
    await a.one()
  })

  it('hands what is below none to the app as a request where nobody else listens', async () => {
    const a = await one()
    const [port] = await serve({ '/a': a.balancer })
    const text = await rawExchange(port, `${at('/ab')}GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    expect(text.match(/^HTTP\/1\.1 404 /gm)).toHaveLength(2)
    expect([a.completions(), a.denials()]).toEqual([[], []])
  })

  it('takes further ones for the same server, and tells of a connection once', async () => {
    const [a, b] = [await one(), await one()]
    const [port, server] = await serve({ '/a': a.balancer })
    attach(server, { '/b': b.balancer })
    for (const path of ['/a/x', '/b/x']) await tunnel(port, path)
    await a.one()
    await b.one()
    expect(server.listenerCount('upgrade')).toBe(1)
    expect(await rawExchange(port, at('/c').replace('Upgrade\r', 'Upgrade, close\r'))).toMatch(/^HTTP\/1\.1 404 /)
  })

  it('refuses a record of too many headers, whoever it is for', async () => {
    const a = await one()
    const server = createServer({ maxHeaderSize: 1_000_000 })
    closeAfterTest(attach(server, { '/a': a.balancer }))
    const fields = Array.from({ length: 1200 }, (_, i) => `x-${i}: y`)
    const head = at('/none').replace('Host: edge.test', ['Host: edge.test', ...fields].join('\r\n'))
    expect(await rawExchange(await listen(server), head)).toMatch(/^HTTP\/1\.1 431 /)
    expect((await a.one()).lb.result).toBe('headers-too-large')
  })

  it.each<[string, () => unknown]>([
    ['nothing', () => ({})],
    ['a path that is none', () => ({ a: {} })],
    ['what is no balancer', () => ({ '/a': {} })],
  ])('does not take %s', (_, given) => {
    expect(() => attach(createServer(), given() as Balancer)).toThrow(
      expect.objectContaining({ code: 'config-invalid' }),
    )
  })
})

describe('beside an app', () => {
  it('of Express, requests go by the app’s mount and upgrades by that of attach', async () => {
    const backend = await switching({
      answer(socket, head) {
        if (/^upgrade:/im.test(head))
          return void socket.write('HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain')
        return false
      },
    })
    const record = recorded({ backends: [backend] })
    const app = express()
    app.use('/api', expressBalancer(record.balancer) as unknown as RequestHandler)
    const [port] = await serve({ '/api': record.balancer }, app)
    await tunnel(port, '/api/ws')
    expect(await rawExchange(port, at('/api/x', 'h2c').replace('Upgrade\r', 'Upgrade, close\r'))).toMatch(/plain$/)
    expect(await rawExchange(port, at('/own').replace('Upgrade\r', 'Upgrade, close\r'))).toMatch(/^HTTP\/1\.1 404 /)
    await record.completed(2)
    expect(backend.heads.map((head) => head.split(' ')[1]).sort()).toEqual(['/ws', '/x'])
    expect(
      record
        .completions()
        .map(({ url }) => url.original_path)
        .sort(),
    ).toEqual(['/api/ws', '/api/x'])
  })

  it('that has made a response for it, what is set there goes along', async () => {
    const a = await one()
    const server = createServer().on('upgrade', (request, socket, head) => {
      const response = new ServerResponse(request)
      response.assignSocket(socket as never)
      response.setHeader('x-hook', 'ran')
      response.setHeader('set-cookie', ['a=1', 'b=2'])
      a.balancer.port.upgrade(request, socket, head, { response, target: '/below', route: '/r' })
    })
    closeAfterTest(server)
    const client = await rawClient(await listen(server), at('/x'))
    const text = await client.has('\r\n\r\n')
    expect(text).toMatch(/^HTTP\/1\.1 101 /)
    for (const field of ['x-hook: ran', 'set-cookie: a=1', 'set-cookie: b=2', 'upgrade: chat'])
      expect(text).toContain(`${field}\r\n`)
    client.socket.end()
    expect((await a.one()).http.route).toBe('/r')
    expect(a.heads[0]).toMatch(/^GET \/below /)
  })

  it('over TLS, what is ignored is served on the same connection', async () => {
    const record = recorded({ backends: [await answering()] })
    const server = attach(createSecureServer(selfSigned(), nodeHandler(record.balancer)), record.balancer)
    closeAfterTest(server)
    const socket = connectTls({ port: await listen(server), host: '127.0.0.1', rejectUnauthorized: false })
    let text = ''
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk
    })
    socket.write(`${at('/x', 'h2c')}GET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    await until(() => socket.destroyed)
    expect(text.match(/HTTP\/1\.1 200 /g)).toHaveLength(2)
    await record.completed(2)
  })
})
