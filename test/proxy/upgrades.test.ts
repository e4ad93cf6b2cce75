// Requests for another protocol: what is refused, what is sent on, the tunnel that follows, and the records of all.
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createServer as createTlsServer } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { answering, halfResponses, rawBackend, refusing, saying, silent } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { type Edge, edge, recorded } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { type RawClient, rawClient, rawExchange, send } from '../support/raw-client.ts'
import { memoryStore } from '../support/sinks.ts'
import { asking, switched, switching } from '../support/switching.ts'
import { selfSigned } from '../support/tls.ts'
import { until } from '../support/until.ts'

const secret = 'a secret of sixteen or more characters'
const names = (e: Edge): string[] =>
  e.events.map(({ event_name }) => event_name).filter((name) => /^(request|tunnel)\./.test(name))

/** A tunnel that stands. */
async function opened(port: number, head = asking()): Promise<RawClient> {
  const client = await rawClient(port, head)
  await client.has('\r\n\r\n')
  expect(client.text()).toMatch(/^HTTP\/1\.1 101 /)
  return client
}

describe('a request for another protocol', () => {
  it.each(['websocket', 'chat', 'IRC/6.9', 'chat/2, websocket'])(
    'for %s gets a tunnel that carries what either side says',
    async (asked) => {
      const token = asked.split(', ').at(-1)!
      const backend = await switching({
        answer: (socket) => void socket.write(switched(token)),
      })
      const e = await edge([backend])
      const client = await opened(e.port, asking(asked))
      expect(backend.heads[0]).toContain(`Upgrade: ${asked}\r\n`)
      client.write('ping\x00\xff')
      await client.has('ping\x00\xff')
      expect(e.balancer.snapshot()).toMatchObject({ tunnels: 1, inFlight: 1, backends: [{ inFlight: 1 }] })
      client.socket.end()
      expect(await client.ended).toBe('fin')
      const { lb, http, url } = await e.one()
      expect(lb).toMatchObject({
        result: 'ok',
        ended_by: 'client',
        attempts: [{ result: 'ok', status_code: 101 }],
        tunnel: { protocol: token, received_bytes: 6, sent_bytes: 6, closed_by: 'client' },
      })
      expect([http.response.status_code, http.response.body.size, url.path]).toEqual([101, 0, '/chat'])
      expect(names(e)).toEqual(['request.received', 'tunnel.opened', 'request.completed'])
      expect(e.events.find(({ event_name }) => event_name === 'tunnel.opened')).toMatchObject({
        client: { address: '127.0.0.1' },
        lb: { backend: `127.0.0.1:${backend.port}`, protocol: token, request_id: lb.request_id },
      })
      expect(e.balancer.snapshot()).toMatchObject({ tunnels: 0, inFlight: 0 })
    },
  )

  it('has the headers of a hop both ways, and the cookie that binds its client', async () => {
    const backend = await switching({
      answer: (socket) =>
        void socket.write(
          switched(
            'chat',
            'Sec-WebSocket-Accept: x',
            'Keep-Alive: timeout=5',
            'X-Gone: 1',
            'Connection: x-gone',
            'Content-Length: 3',
          ),
        ),
    })
    const e = await edge([backend], { affinity: { cookie: { secret } } })
    const client = await opened(
      e.port,
      asking('chat', 'Sec-WebSocket-Key: k', 'HTTP2-Settings: AAA', 'Connection: http2-settings'),
    )
    const fields = client.text().trimEnd().split('\r\n').slice(1)
    const told = fields.map((field) => field.replace(/^(set-cookie: lb|x-request-id).*/, '$1'))
    expect(told.sort()).toEqual(
      [
        'Sec-WebSocket-Accept: x',
        'cache-control: private',
        'connection: Upgrade',
        'set-cookie: lb',
        'upgrade: chat',
        'x-request-id',
      ].sort(),
    )
    const [head] = backend.heads
    expect(head).toMatch(/^GET \/chat HTTP\/1\.1\r\n/)
    for (const field of ['Sec-WebSocket-Key: k', 'Connection: Upgrade', 'Upgrade: chat', 'x-forwarded-for: 127.0.0.1'])
      expect(head).toContain(`${field}\r\n`)
    expect(head).not.toMatch(/http2-settings/i)
  })

  it('has the rules of the user for responses, and is not opened where one of them fails', async () => {
    const backend = await switching({
      answer: (socket) => void socket.write(switched('chat', 'Server: secret', 'X-A: 1')),
    })
    let fails = false
    const fail = (): string => {
      if (fails) throw new Error('no value')
      return 'value'
    }
    const e = await edge([backend], {
      headers: {
        response: [
          { remove: 'server' },
          { set: 'x-status', to: ({ status }) => String(status) },
          { set: 'x-rule', to: fail },
        ],
      },
    })
    const client = await opened(e.port)
    expect(client.text()).not.toContain('secret')
    for (const field of ['X-A: 1', 'x-status: 101', 'x-rule: value']) expect(client.text()).toContain(`${field}\r\n`)
    client.socket.end()
    await e.one()
    fails = true
    const refused = await rawExchange(e.port, asking())
    expect(refused).toMatch(/^HTTP\/1\.1 500 /)
    expect(refused).not.toContain('secret')
    const { lb } = (await e.completed(2))[1]!
    expect(lb).toMatchObject({ result: 'internal', detail: 'header rule 2: no value' })
    expect(lb.tunnel).toBeUndefined()
    expect(lb.attempts[0]!.result).toBe('internal')
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(0)
    expect(names(e).filter((name) => name === 'tunnel.opened')).toHaveLength(1)
    await until(() => backend.sockets.size === 0)
  })

  it('lets each side end on its own, and the other one still say what it has to', async () => {
    const heard: string[] = []
    const backend = await switching({
      after(socket) {
        socket.setEncoding('latin1').on('data', (text: string) => void heard.push(text))
        socket.on('end', () => {
          socket.write('still here, ')
          setImmediate(() => socket.end('and gone'))
        })
      },
    })
    const e = await edge([backend])
    const client = await opened(e.port)
    client.socket.end('last words')
    expect(await client.ended).toBe('fin')
    expect(client.text()).toMatch(/still here, and gone$/)
    expect(heard.join('')).toBe('last words')
    expect((await e.one()).lb).toMatchObject({
      result: 'ok',
      tunnel: { closed_by: 'client', received_bytes: 10, sent_bytes: 20 },
    })
  })

  it('tells who has closed first', async () => {
    const backend = await switching({ after: (socket) => socket.end('bye') })
    const e = await edge([backend])
    const client = await opened(e.port)
    await client.has(/bye$/)
    client.socket.end()
    expect((await e.one()).lb).toMatchObject({ result: 'ok', ended_by: 'backend', tunnel: { closed_by: 'backend' } })
  })

  it('hands on what came before the switch only after it', async () => {
    let answer: () => void = () => undefined
    const heard: string[] = []
    const backend = await switching({
      answer(socket) {
        socket.on('data', (chunk) => void heard.push(chunk.toString('latin1')))
        answer = () => void socket.write(`${switched('chat')}early answer`)
        return true
      },
      after: () => undefined,
    })
    const e = await edge([backend])
    const client = await rawClient(e.port, `${asking()}GET /one HTTP/1.1\r\n`)
    await until(() => backend.heads.length === 1)
    client.write('Host: b\r\n\r\n')
    // What is sent now cannot have passed while a later request is answered.
    await send((await edge([await answering()])).port)
    expect([heard, client.text()]).toEqual([[], ''])
    answer()
    await client.has(/early answer$/)
    await until(() => heard.join('') === 'GET /one HTTP/1.1\r\nHost: b\r\n\r\n')
    client.socket.end()
  })

  it('is refused where its client goes on at length before the switch', async () => {
    const backend = await switching({ answer: () => false })
    const e = await edge([backend])
    const client = await rawClient(e.port, `${asking()}${'x'.repeat(70_000)}`)
    await client.has('HTTP/1.1 400 ')
    await client.ended
    expect((await e.one()).lb).toMatchObject({ result: 'malformed' })
    await until(() => backend.sockets.size === 0)
  })
})

describe('an answer other than 101', () => {
  it('is passed on whole, and ends the connection: what follows is no request', async () => {
    const backend = await rawBackend((socket) =>
      socket.write(
        'HTTP/1.1 426 Upgrade Required\r\nUpgrade: other\r\nConnection: Upgrade\r\nX-Why: no\r\nContent-Length: 4\r\n\r\nno!\n',
      ),
    )
    const e = await edge([backend])
    const text = await rawExchange(e.port, `${asking()}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`)
    expect(text).toMatch(/^HTTP\/1\.1 426 Upgrade Required\r\n/)
    expect(text).toContain('X-Why: no\r\n')
    expect(text).toMatch(/connection: close\r\n[\s\S]*\r\n\r\nno!\n$/i)
    expect((await e.one()).lb).toMatchObject({ result: 'ok', attempts: [{ status_code: 426 }] })
    expect(e.completions()[0]!.lb.tunnel).toBeUndefined()
    expect(backend.received.join('')).not.toContain('smuggled')
    expect(names(e)).toEqual(['request.received', 'request.completed'])
  })

  it.each([halfResponses['content-length'], halfResponses.chunked])(
    'that is cut within its body is a cut for the client (%j)',
    async (half) => {
      const e = await edge([await saying(half, 'reset')])
      const client = await rawClient(e.port, asking())
      await client.ended
      expect(client.text()).toMatch(/half\.(?:\r\n)?$/)
      expect((await e.one()).lb.result).toBe('backend-cut')
    },
  )

  it.each([
    ['to a protocol that nobody asked for', switched('other')],
    ['to nothing', 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n'],
  ])('but with 101 %s is not passed on', async (_, head) => {
    const backend = await switching({ answer: (socket) => void socket.write(`${head}secret`) })
    const e = await edge([backend])
    const text = await rawExchange(e.port, asking())
    expect(text).toMatch(/^HTTP\/1\.1 502 /)
    expect(text).not.toContain('secret')
    expect((await e.one()).lb).toMatchObject({ result: 'response-invalid', attempts: [{ result: 'response-invalid' }] })
    await until(() => backend.sockets.size === 0)
  })
})

describe('what is refused', () => {
  const cases: [string, number, string, string, Omit<BalancerOptions, 'backends'>?][] = [
    ['a denied address', 403, 'denied', asking(), { access: { deny: ['127.0.0.0/8'] } }],
    ['two Hosts', 400, 'malformed', asking('chat', 'Host: b')],
    ['a body', 400, 'malformed', `${asking('chat', 'Content-Length: 3')}abc`],
    ['a chunked body', 400, 'malformed', `${asking('chat', 'Transfer-Encoding: chunked')}0\r\n\r\n`],
    ['a target that is none', 400, 'malformed', asking().replace('/chat', '//[/chat#x')],
    ['an expectation', 417, 'expectation-failed', asking('chat', 'Expect: wonders')],
  ]
  it.each(cases)(
    'for %s is answered with %i, recorded, and costs the connection',
    async (_, status, result, head, options) => {
      const backend = await switching()
      const e = await edge([backend], options)
      // Where nobody but the request itself is asked.
      const server = createServer().on('upgrade', (request, socket, early) =>
        e.balancer.port.upgrade(request, socket, early),
      )
      closeAfterTest(server)
      const text = await rawExchange(await listen(server), `${head}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`)
      expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(text).toMatch(/^connection: close\r$/im)
      expect(text.match(/^HTTP/gm)).toHaveLength(1)
      const { lb, http } = await e.one()
      expect([lb.result, http.response.status_code, backend.heads]).toEqual([result, status, []])
    },
  )

  it('for want of a backend, and while the balancer closes, is told as such', async () => {
    const none = await edge([])
    expect(await rawExchange(none.port, asking())).toMatch(/^HTTP\/1\.1 503 /)
    expect((await none.one()).lb.result).toBe('no-backend')
    const e = await edge([await switching()])
    const first = await opened(e.port)
    const closing = e.balancer.close({ deadlineMs: 60_000 })
    expect(await rawExchange(e.port, asking())).toMatch(/^HTTP\/1\.1 503 /)
    await until(() => e.completions().length === 1)
    expect(e.completions()[0]!.lb.result).toBe('closing')
    // The one that stands may go on.
    first.write('ping')
    await first.has(/ping$/)
    first.socket.end()
    await closing
    expect(e.completions()[1]!.lb.result).toBe('ok')
  })

  it('above `maxOpen` has room again once another one is over', async () => {
    const e = await edge([await switching()], { upgrades: { maxOpen: 1 } })
    const first = await opened(e.port)
    expect(await rawExchange(e.port, asking())).toMatch(/^HTTP\/1\.1 503 [\s\S]*"tunnels-full"/)
    first.socket.end()
    await e.completed(2)
    const second = await opened(e.port)
    second.socket.end()
    expect((await e.completed(3)).map(({ lb }) => lb.result)).toEqual(['tunnels-full', 'ok', 'ok'])
  })
})

describe('other backends', () => {
  it('are tried as long as nothing was sent', async () => {
    const e = await edge([await refusing(), await switching()])
    const client = await opened(e.port)
    client.socket.end()
    expect((await e.one()).lb.attempts.map(({ result }) => result)).toEqual(['connect-refused', 'ok'])
  })

  it('are not tried once one may have seen it, nor beside it, nor as mirrors', async () => {
    const other = await switching()
    const options = { hedge: { delayMs: 1 }, retry: { statuses: [503] }, health: { passive: false as const } }
    const cut = await edge([await silent('reset'), other], options)
    expect(await rawExchange(cut.port, asking())).toMatch(/^HTTP\/1\.1 502 /)
    expect((await cut.one()).lb).toMatchObject({ result: 'backend-reset', retry_denied: 'method' })
    const busy = await edge([await saying('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'), other], options)
    expect(await rawExchange(busy.port, asking())).toMatch(/^HTTP\/1\.1 503 Busy/)
    await busy.one()
    const slow = await switching({
      answer: (socket) => void setTimeout(() => socket.write(switched('chat')), 30),
    })
    const copies = { url: other.url, options: { id: 'copy', group: 'copy' } }
    const hedged = await edge([slow, other, copies], { ...options, mirror: { group: 'copy', percent: 100 } })
    const client = await opened(hedged.port)
    client.socket.end()
    expect((await hedged.one()).lb.attempts).toHaveLength(1)
    expect(other.heads).toEqual([])
  })

  it('are waited for where all are full, for as long as a tunnel takes its place', async () => {
    const backend = await switching()
    const e = await edge([{ url: backend.url, options: { maxInFlight: 1 } }], { queue: { max: 5, timeoutMs: 60_000 } })
    const first = await opened(e.port)
    const leaver = await rawClient(e.port, asking())
    await until(() => e.balancer.snapshot().waiting === 1)
    leaver.socket.end()
    await until(() => e.balancer.snapshot().waiting === 0)
    const second = await rawClient(e.port, asking())
    await until(() => e.balancer.snapshot().waiting === 1)
    expect(second.text()).toBe('')
    first.socket.end()
    await second.has('HTTP/1.1 101 ')
    second.socket.end()
    expect((await e.completed(3)).map(({ lb }) => lb.result)).toEqual(['client-gone', 'ok', 'ok'])
    expect(backend.heads).toHaveLength(2)
  })
})

describe('a reset', () => {
  it('by the backend reaches the client, and is the backend’s', async () => {
    let reset: () => void = () => undefined
    const backend = await switching({
      after(socket) {
        reset = () => void socket.resetAndDestroy()
      },
    })
    const e = await edge([backend])
    const client = await opened(e.port)
    reset()
    expect(await client.ended).toBe('reset')
    const { lb, outcome, http } = await e.one()
    expect([lb.result, lb.ended_by, lb.tunnel?.closed_by, outcome]).toEqual([
      'backend-cut',
      'backend',
      'backend',
      'failure',
    ])
    expect([lb.attempts[0]!.result, http.response.status_code]).toEqual(['backend-cut', 101])
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(1)
  })

  it('by the client reaches the backend, and is the client’s', async () => {
    const backend = await switching({ after: () => undefined })
    const e = await edge([backend])
    const client = await opened(e.port)
    client.socket.resetAndDestroy()
    await until(() => backend.sockets.size === 0)
    const { lb, http } = await e.one()
    expect([lb.result, lb.ended_by, lb.tunnel?.closed_by]).toEqual(['client-gone', 'client', 'client'])
    expect(http.response.status_code).toBe(101)
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(0)
  })

  it('by the host, which has destroyed the connection of the client, is not the client’s', async () => {
    const e = await edge([await switching()])
    const sockets: Socket[] = []
    e.server.on('connection', (socket) => void sockets.push(socket))
    const client = await opened(e.port)
    sockets[0]!.destroy()
    await client.ended
    const { lb } = await e.one()
    expect([lb.result, lb.ended_by, lb.tunnel?.closed_by]).toEqual(['internal', 'balancer', 'balancer'])
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(0)
  })

  it('by a client of TLS is the client’s', async () => {
    const record = recorded({ backends: [await switching({ after: (socket) => void socket.resume() })] })
    const server = createTlsServer(record.balancer, { tls: selfSigned() })
    closeAfterTest(server)
    const raw = connect(await listen(server), '127.0.0.1')
    raw.on('error', () => undefined)
    const socket = connectTls({ socket: raw, rejectUnauthorized: false })
    onTestFinished(() => void socket.destroy())
    socket.on('error', () => undefined)
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
    })
    socket.write(asking())
    await until(() => text.includes(' 101 '))
    raw.resetAndDestroy()
    const { lb } = await record.one()
    expect([lb.result, lb.tunnel?.closed_by]).toEqual(['client-gone', 'client'])
  })

  it('after an orderly end of the other side is no failure of anybody', async () => {
    const backend = await switching({
      after: (socket) => void socket.on('end', () => socket.resetAndDestroy()).resume(),
    })
    const e = await edge([backend])
    const client = await opened(e.port)
    client.socket.end()
    expect(await client.ended).toBe('reset')
    expect((await e.one()).lb).toMatchObject({ result: 'ok', tunnel: { closed_by: 'client' } })
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(0)
  })

  it.each(['end', 'resetAndDestroy'] as const)(
    'or end before the switch cancels what waits for it (%s)',
    async (how) => {
      const backend = await switching({ answer: () => false })
      const e = await edge([backend])
      const client = await rawClient(e.port, asking())
      await until(() => backend.heads.length === 1)
      client.socket[how]()
      await until(() => backend.sockets.size === 0)
      const { lb, http } = await e.one()
      expect([lb.result, http.response.status_code, lb.tunnel]).toEqual(['client-gone', 499, undefined])
    },
  )

  it('of a client before its request was looked at throws nowhere', async () => {
    const e = await edge([await switching()])
    for (let i = 0; i < 20; i++) {
      const client = await rawClient(e.port, asking())
      client.socket.resetAndDestroy()
    }
    await until(() => e.balancer.snapshot().inFlight === 0)
    const last = await opened(e.port)
    last.socket.end()
    await until(() => e.completions().some(({ lb }) => lb.result === 'ok'))
  })
})

describe('what cuts a tunnel', () => {
  it('is that it carries nothing for too long, by the time that is in force', async () => {
    const clock = fakeClock()
    const backend = await switching()
    const e = await edge([backend], { clock, upgrades: { idleMs: 10_000 } })
    const client = await opened(e.port)
    clock.advance(9000)
    client.write('ping')
    await client.has(/ping$/)
    clock.advance(9000)
    expect(e.balancer.snapshot().tunnels).toBe(1)
    clock.advance(1000)
    expect(await client.ended).toBe('reset')
    expect((await e.one()).lb).toMatchObject({
      result: 'tunnel-idle',
      ended_by: 'balancer',
      attempts: [{ result: 'tunnel-idle' }],
      tunnel: { closed_by: 'balancer' },
    })
    expect(e.balancer.snapshot().backends[0]!.failures).toBe(0)
    const second = await opened(e.port)
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    await ops.update({ upgrades: { idleMs: false } })
    clock.advance(1_000_000)
    expect(e.balancer.snapshot().tunnels).toBe(1)
    await ops.update({ upgrades: { idleMs: 100 } })
    expect(await second.ended).toBe('reset')
  })

  it('is that time also where no more are taken meanwhile', async () => {
    const clock = fakeClock()
    const e = await edge([await switching()], { clock, upgrades: { idleMs: 10_000 } })
    const client = await opened(e.port)
    await e.balancer.as({ id: 'ops', type: 'user' }).update({ upgrades: false })
    client.write('ping')
    await client.has(/ping$/)
    clock.advance(10_000)
    expect(await client.ended).toBe('reset')
    expect((await e.one()).lb.result).toBe('tunnel-idle')
  })

  it('is that its backend is disabled, and not that it drains', async () => {
    const e = await edge([await switching()])
    const client = await opened(e.port)
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    const id = e.balancer.snapshot().backends[0]!.id
    await ops.drain(id)
    client.write('ping')
    await client.has(/ping$/)
    await ops.drain(id, { deadlineMs: 1 })
    expect(await client.ended).toBe('reset')
    expect((await e.one()).lb).toMatchObject({
      result: 'drain-deadline',
      tunnel: { closed_by: 'balancer', sent_bytes: 4 },
    })
  })

  it('closes it also where an end is on its way that the client does not read', async () => {
    const backend = await switching({ after: (socket) => socket.end(Buffer.alloc(30_000_000)) })
    const e = await edge([backend])
    const client = await rawClient(e.port, asking())
    await client.has(/ 101 /)
    client.socket.pause()
    await until(() => e.balancer.snapshot().tunnels === 1 && backend.sockets.size <= 1)
    await e.balancer.close({ deadlineMs: 200 })
    const open = (): Promise<number> => new Promise((resolve) => e.server.getConnections((_, n) => resolve(n)))
    while ((await open()) > 0);
    expect((await e.one()).lb.result).toBe('closing')
  })

  it('is the deadline of a close', async () => {
    const backend = await switching()
    const e = await edge([backend])
    const client = await opened(e.port)
    client.write('ping')
    await client.has(/ping$/)
    await e.balancer.close({ deadlineMs: 50 })
    expect(await client.ended).toBe('reset')
    await until(() => backend.sockets.size === 0)
    expect((await e.one()).lb).toMatchObject({ result: 'closing', ended_by: 'balancer', tunnel: { received_bytes: 4 } })
    expect(e.events.find(({ event_name }) => event_name === 'balancer.stopped')).toMatchObject({ outcome: 'failure' })
  })
})

describe('where `Upgrade` is ignored', () => {
  const plain = async () => answering((response, _request, body) => response.end(`got ${body.length}`))
  const post = (token: string): string =>
    `POST /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\nUpgrade: ${token}\r\nHTTP2-Settings: AAA\r\nContent-Length: 5\r\n\r\nhello`
  const last = 'GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

  it.each<[string, string, Omit<BalancerOptions, 'backends'>]>([
    ['h2c', post('h2c'), {}],
    ['what is not among the protocols', post('chat'), { upgrades: { protocols: ['websocket'] } }],
    ['all, if it is off', post('websocket'), { upgrades: false }],
    ['that of HTTP/1.0', post('chat').replace('HTTP/1.1', 'HTTP/1.0'), {}],
  ])('(%s) it is a request as any other, with its body, and the connection goes on', async (_, head, options) => {
    const backend = await plain()
    const e = await edge([backend], options)
    const text = await rawExchange(e.port, `${head}${last}`)
    expect(text.match(/got \d/g)).toEqual(['got 5', 'got 0'])
    expect((await e.completed(2)).map(({ lb, http }) => [lb.result, http.request.body.size])).toEqual([
      ['ok', 5],
      ['ok', 0],
    ])
    expect(backend.seen[0]!.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())).not.toContain(
      'upgrade',
    )
  })

  it('is decided anew for each request, by the options in force', async () => {
    const e = await edge(
      [
        await switching({
          answer(socket, head) {
            const asked = /^upgrade:/im.test(head)
            socket.write(asked ? switched('websocket') : 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
            return asked ? undefined : false
          },
        }),
      ],
      { upgrades: false },
    )
    const ask = asking('websocket').replace('Connection: Upgrade', 'Connection: close, Upgrade')
    expect(await rawExchange(e.port, ask)).toMatch(/^HTTP\/1\.1 200 /)
    await e.balancer.as({ id: 'ops', type: 'user' }).update({ upgrades: { protocols: ['WebSocket'] } })
    const client = await opened(e.port, asking('chat, websocket'))
    client.socket.end()
    expect((await e.completed(2)).map(({ http }) => http.response.status_code)).toEqual([200, 101])
  })

  it('of a list only what may be is asked for', async () => {
    const backend = await switching({ answer: (socket) => void socket.write(switched('chat')) })
    const e = await edge([backend])
    const client = await opened(e.port, asking('h2c, chat, not a token'))
    expect(backend.heads[0]).toContain('Upgrade: chat\r\n')
    client.socket.end()
    await e.one()
  })
})

describe('behind other requests on its connection', () => {
  it.each([
    ['a tunnel', asking(), 'HTTP/1.1 101 '],
    ['what is ignored', `${asking('h2c')}`, 'HTTP/1.1 200 '],
  ])('%s waits for its turn', async (_, head, answer) => {
    const answers: (() => void)[] = []
    const first = await rawBackend((socket, text) => {
      if (/^upgrade:/im.test(text)) return void socket.write(switched('chat'))
      answers.push(() => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow'))
    })
    const e = await edge([first])
    const client = await rawClient(e.port, `GET /slow HTTP/1.1\r\nHost: a\r\n\r\n${head}`)
    await until(() => answers.length === 1)
    answers[0]!()
    await client.has(/slow$/)
    await until(() => answers.length === 2 || client.text().includes('101'))
    answers[1]?.()
    await client.has(`slow${answer}`)
    client.socket.end()
    await e.completed(2)
  })
})

describe('with an audit that refuses', () => {
  const audit = (store: ReturnType<typeof memoryStore>) => ({ sinks: [store], whenUnavailable: 'refuse' as const })

  it('nothing is sent before its line is on disk, and nothing without one', async () => {
    let persist: () => void = () => undefined
    const store = memoryStore({ durability: 'group' })
    const backend = await switching()
    const e = await edge([backend], { audit: audit(store) })
    await e.balancer.ready()
    store.persist = () =>
      new Promise((resolve) => {
        persist = resolve
      })
    const client = await rawClient(e.port, asking())
    await until(() => names(e).includes('request.received'))
    expect(backend.heads).toEqual([])
    persist()
    await client.has('HTTP/1.1 101 ')
    expect(names(e)).toEqual(['request.received', 'tunnel.opened'])
    store.takes = false
    store.faults = { traffic: 'EIO' }
    const refused = await rawExchange(e.port, asking())
    expect(refused).toMatch(/^HTTP\/1\.1 503 [\s\S]*audit-unavailable/)
    // What stands goes on.
    client.write('ping')
    await client.has(/ping$/)
    client.socket.end()
  })
})
