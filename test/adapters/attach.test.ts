// attach: what a server refuses before any handler sees it has its line too, with the rule and the client's address.
import { createServer as createHttpServer, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { attach, nodeHandler } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { answering, type SeeingBackend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { type Recorded, recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, rawExchange, send } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'

interface Attached extends Recorded {
  readonly port: number
  readonly server: Server
  readonly backend: SeeingBackend
}

async function attached(
  options: Partial<BalancerOptions> = {},
  make: (handler: ReturnType<typeof nodeHandler>) => Server = createHttpServer,
): Promise<Attached> {
  const backend = await answering()
  const record = recorded({ ...options, backends: [backend] })
  const server = attach(make(nodeHandler(record.balancer)), record.balancer)
  closeAfterTest(server)
  return { ...record, port: await listen(server), server, backend }
}

const line = (rule: string, detail?: unknown) => ({
  access: { rule, phase: 'connection', ...(detail === undefined ? {} : { detail }) },
  client: { address: '127.0.0.1', source: 'peer' },
  network: { peer: { address: '127.0.0.1' } },
  outcome: 'failure',
})

it('attach takes a server and a balancer', () => {
  const { balancer } = recorded({ backends: [] })
  const refused = (...given: unknown[]) =>
    expect(() => attach(...(given as Parameters<typeof attach>))).toThrow(
      expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining('attach takes a ') }),
    )
  refused(balancer)
  refused(undefined, balancer)
  refused({ on() {} }, balancer)
  refused(createHttpServer(), undefined)
  refused(createHttpServer(), { '/a': 5 })
})

describe('attach records', () => {
  it('a request that is not HTTP, once, however much of it there is', async () => {
    const { port, denied, backend } = await attached()
    expect(await rawExchange(port, `nonsense\r\n${'x'.repeat(200_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /)
    expect(await denied()).toMatchObject([line('malformed', expect.stringMatching(/^HPE_/))])
    expect(backend.accepted()).toBe(0)
  })

  it('a connection from an address that is denied, and cuts it off', async () => {
    const { port, denied, completions } = await attached({ access: { deny: ['127.0.0.0/8'] } })
    expect(await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('')
    expect(await denied()).toMatchObject([line('access.deny')])
    expect(completions()).toEqual([])
  })

  it('CONNECT', async () => {
    const { port, denied } = await attached()
    expect(await rawExchange(port, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n')).toMatch(
      / 400 [\s\S]*Connection: close/,
    )
    expect(await denied()).toMatchObject([line('malformed', 'CONNECT')])
  })

  it('CONNECT of a client that resets the connection, and survives it', async () => {
    const { port, denials, completed } = await attached()
    for (let i = 0; i < 20; i++) {
      const client = await rawClient(port, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: e\r\n\r\n')
      client.socket.resetAndDestroy()
      await client.ended
    }
    expect(await send(port)).toMatchObject({ status: 200 })
    await completed(1)
    expect(denials().filter(({ access }) => access.detail !== 'CONNECT')).toEqual([])
  })

  it('a TLS handshake that is none', async () => {
    const { port, denied } = await attached(
      {},
      (handler) => createHttpsServer(selfSigned(), handler) as unknown as Server,
    )
    await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(await denied()).toMatchObject([line('tls-handshake', expect.any(String))])
  })

  it('requests over TLS as requests, and tells the backend of it', async () => {
    const { port, one, backend } = await attached(
      {},
      (handler) => createHttpsServer(selfSigned(), handler) as unknown as Server,
    )
    const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    onTestFinished(() => void socket.destroy())
    socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    let text = ''
    for await (const chunk of socket) text += chunk
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(await one()).toMatchObject({ lb: { result: 'ok' }, client: { address: '127.0.0.1' } })
    expect(backend.seen[0]!.rawHeaders.join()).toContain('x-forwarded-proto,https')
  })

  it('a connection beyond the most that the server takes', async () => {
    const { port, server, denied } = await attached()
    server.maxConnections = 1
    const first = await rawClient(port)
    const second = connect(port, '127.0.0.1').on('error', () => undefined)
    await new Promise<void>((resolve) => second.once('close', () => resolve()))
    expect(await denied()).toMatchObject([line('max-connections')])
    first.socket.destroy()
  })

  it('a request beyond the most that the server takes on a connection', async () => {
    const { port, server, denied, completed } = await attached()
    server.maxRequestsPerSocket = 1
    const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
    const client = await rawClient(port, get + get)
    await client.has(' 503 ')
    expect(client.text()).toMatch(/^HTTP\/1\.1 200 /)
    expect(await denied()).toMatchObject([line('requests-per-socket')])
    await completed(1)
  })

  it('an expectation that is not met, as a request', async () => {
    const { port, one, denials } = await attached()
    expect(await send(port, { headers: ['Expect', 'x'] })).toMatchObject({ status: 417 })
    expect(await one()).toMatchObject({ lb: { result: 'expectation-failed' } })
    expect(denials()).toEqual([])
  })

  it('nothing of a client that connects and leaves', async () => {
    const { port, denials, completed } = await attached()
    for (const way of ['destroy', 'resetAndDestroy'] as const) {
      const client = await rawClient(port)
      client.socket[way]()
      await client.ended
    }
    expect(await send(port)).toMatchObject({ status: 200 })
    await completed(1)
    expect(denials()).toEqual([])
  })

  it('a head that is too long, and answers it', async () => {
    const { port, denied } = await attached()
    const long = `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`
    expect(await rawExchange(port, long)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await denied()).toMatchObject([line('malformed', 'HPE_HEADER_OVERFLOW')])
  })

  it.each(['', 'GET / HTTP/1.1\r\nHost'])(
    'a connection that sends no whole head in time, and answers it: %j',
    async (text) => {
      const options = { headersTimeout: 50, requestTimeout: 60, connectionsCheckingInterval: 20 }
      const { port, denied } = await attached({}, (handler) => createHttpServer(options, handler))
      expect(await rawExchange(port, text)).toMatch(/^HTTP\/1\.1 408 /)
      expect(await denied()).toMatchObject([line('malformed', 'ERR_HTTP_REQUEST_TIMEOUT')])
    },
  )

  it('each refusal once, however often it was called, and for however many balancers', async () => {
    const { port, server, balancer, denied } = await attached()
    const other = recorded({ name: 'other', backends: [] })
    attach(server, balancer)
    attach(server, other.balancer)
    expect(await rawExchange(port, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /)
    expect(await denied()).toHaveLength(1)
    expect(other.denials()).toEqual([])
    await balancer.close()
    await rawExchange(port, 'nonsense\r\n\r\n')
    expect(await other.denied()).toMatchObject([line('malformed')])
  })

  it('no denial of an address that another balancer of the server serves', async () => {
    const { port, server, denials, one } = await attached({ access: { deny: ['127.0.0.0/8'] } })
    const other = recorded({ name: 'other', backends: [] })
    attach(server, other.balancer)
    expect(await send(port)).toMatchObject({ status: 403 })
    expect(await one()).toMatchObject({ lb: { result: 'denied' } })
    expect(denials()).toMatchObject([{ access: { phase: 'request' } }])
  })

  it('what the host answers in its own way, and leaves that to it', async () => {
    const { port, server, denied } = await attached()
    server.on('clientError', (_error, socket) => void socket.end('HTTP/1.1 499 Own\r\n\r\n'))
    server.on('connect', (_request, socket) => void socket.end('HTTP/1.1 200 Tunnel\r\n\r\n'))
    expect(await rawExchange(port, 'nonsense\r\n\r\n')).toBe('HTTP/1.1 499 Own\r\n\r\n')
    expect(await rawExchange(port, 'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n')).toBe('HTTP/1.1 200 Tunnel\r\n\r\n')
    expect(await denied()).toMatchObject([line('malformed')])
  })

  it('a flood as one line with its number', async () => {
    const clock = fakeClock()
    const { port, denials } = await attached({ clock })
    for (let i = 0; i < 120; i++) await rawExchange(port, 'nonsense\r\n\r\n')
    clock.advance(1000)
    expect(denials()).toHaveLength(101)
    expect(denials()[100]).toMatchObject({ access: { rule: 'malformed', count: 20 } })
  })
})

describe('without attach', () => {
  it('a request from an address that is denied is answered with 403, and has both lines', async () => {
    const record = recorded({ backends: [], access: { allow: ['10.0.0.0/8'] } })
    const server = createHttpServer(nodeHandler(record.balancer))
    closeAfterTest(server)
    expect(await send(await listen(server))).toMatchObject({ status: 403 })
    const event = await record.one()
    expect(event).toMatchObject({
      lb: { result: 'denied', detail: 'access.allow' },
      http: { response: { status_code: 403 } },
    })
    expect(await record.denied()).toMatchObject([
      {
        access: { rule: 'access.allow', phase: 'request' },
        client: { address: '127.0.0.1' },
        lb: { request_id: event.lb.request_id },
      },
    ])
  })
})
