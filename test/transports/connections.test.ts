// The connections to a backend: how often, how long and by whom each is used, and what becomes of those that went stale.
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { backendSchema } from '../../src/backend.ts'
import { systemClock } from '../../src/clock.ts'
import type { AttemptFailure } from '../../src/outcome.ts'
import { tlsSchema } from '../../src/tls.ts'
import type { AttemptRequest, Connected, Transport } from '../../src/transport.ts'
import { directTransport } from '../../src/transports/direct.ts'
import { httpTransport } from '../../src/transports/http.ts'
import { connectionsSchema } from '../../src/transports/pool.ts'
import { timeoutsSchema } from '../../src/transports/settings.ts'
import { undiciTransport } from '../../src/transports/undici.ts'
import { answering, rawBackend, refusing } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { type Edge, edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { send } from '../support/raw-client.ts'
import { hopBy, transports } from '../support/transports.ts'
import { until } from '../support/until.ts'

const ok = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Of each request so far: whether its connection was used before. */
const reuses = ({ completions }: Edge): (boolean | undefined)[] => completions().map(({ lb }) => lb.attempts[0]!.reused)

describe.each(transports)('by %s', (transport) => {
  const hop = hopBy(transport)

  describe('a connection', () => {
    it('carries as many requests as it may, and is closed then', async () => {
      const backend = await answering()
      const lb = await edge([backend], { ...hop, connections: { maxRequests: 3 } })
      for (let i = 0; i < 7; i++) await send(lb.port)
      await lb.completed(7)
      expect(reuses(lb)).toEqual([false, true, true, false, true, true, false])
      await until(() => backend.sockets.size === 1)
    })

    it('is not used any more once it is too old, whether it is idle or comes back', async () => {
      const backend = await answering()
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock, connections: { maxAgeMs: 10_000, keepAliveMs: 600_000 } })
      await send(lb.port)
      clock.advance(8900)
      await send(lb.port)
      clock.advance(1200)
      await send(lb.port)
      await lb.completed(3)
      expect(reuses(lb)).toEqual([false, true, false])
      await until(() => backend.sockets.size === 1)
    })

    it('that grew too old in use is closed with its response', async () => {
      const held: (() => void)[] = []
      const backend = await answering((response) => void held.push(() => response.end('ok')))
      const clock = fakeClock()
      const { port, one } = await edge([backend], { ...hop, clock, connections: { maxAgeMs: 1000 } })
      const reply = send(port)
      await until(() => held.length === 1)
      clock.advance(1001)
      held[0]!()
      expect((await reply).body).toBe('ok')
      await one()
      await until(() => backend.sockets.size === 0)
    })

    it('of many made at once grows old at another time than the others', async () => {
      const held: (() => void)[] = []
      const backend = await answering((response) => void held.push(() => response.end('ok')))
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock, connections: { maxAgeMs: 10_000, keepAliveMs: 600_000 } })
      const round = async (): Promise<void> => {
        const before = lb.completions().length
        const replies = Array.from({ length: 20 }, () => send(lb.port))
        await until(() => held.length === 20)
        for (const answer of held.splice(0)) answer()
        await Promise.all(replies)
        await lb.completed(before + 20)
      }
      await round()
      clock.advance(9500)
      await round()
      const kept = reuses(lb).filter((reused) => reused === true).length
      expect(kept).toBeGreaterThanOrEqual(8)
      expect(kept).toBeLessThanOrEqual(12)
    })

    it.each([
      ['timeout=3', 1999, true],
      ['timeout=3', 2001, false],
      ['timeout=1', 499, true],
      ['timeout=1', 501, false],
      ['timeout=60', 3999, true],
      ['timeout=60', 4001, false],
    ])('whose backend says %s is used again after %d ms: %s', async (hint, afterMs, reused) => {
      const backend = await rawBackend((socket) => {
        socket.write(`HTTP/1.1 200 OK\r\nKeep-Alive: ${hint}\r\nContent-Length: 2\r\n\r\nok`)
      })
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock })
      await send(lb.port)
      await lb.completed(1)
      clock.advance(afterMs)
      await send(lb.port)
      await lb.completed(2)
      expect(reuses(lb)).toEqual([false, reused])
    })

    it('whose backend says timeout=0 is closed with its response', async () => {
      const backend = await rawBackend((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 2\r\n\r\nok')
      })
      const { port, one } = await edge([backend], hop)
      await send(port)
      await one()
      await until(() => backend.sockets.size === 0)
    })

    it('on which bytes come that nobody asked for is closed, and what they say reaches nobody', async () => {
      const sockets: Socket[] = []
      const backend = await rawBackend((socket) => {
        sockets.push(socket)
        socket.write(ok)
      })
      const lb = await edge([backend], hop)
      for (const poison of [
        'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison',
        '\0',
        'HTTP/1.1 100 Continue\r\n\r\n',
      ]) {
        expect((await send(lb.port)).body).toBe('ok')
        sockets[sockets.length - 1]!.write(poison)
        await until(() => backend.sockets.size === 0)
      }
      expect((await send(lb.port, { method: 'POST', body: 'x' })).body).toBe('ok')
      await lb.completed(4)
      expect(reuses(lb)).toEqual([false, false, false, false])
    })

    it('with bytes behind its response is not handed to who waits', async () => {
      const backend = await rawBackend((socket) => {
        socket.write(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`)
      })
      const lb = await edge([backend], { ...hop, connections: { max: 1 } })
      const bodies = await Promise.all(Array.from({ length: 8 }, () => send(lb.port).then(({ body }) => body)))
      expect(new Set(bodies)).toEqual(new Set(['ok']))
      await lb.completed(8)
      expect(new Set(reuses(lb))).toEqual(new Set([false]))
    })
  })

  /** Answers the first request of each connection, and ends it at the next one without a byte. */
  function closingAtReuse(how: 'fin' | 'reset', atNext = (socket: Socket): void => void socket) {
    const used = new Set<Socket>()
    return rawBackend((socket) => {
      if (!used.has(socket)) {
        used.add(socket)
        socket.write(ok)
        return
      }
      atNext(socket)
      if (how === 'fin') socket.end()
      else socket.resetAndDestroy()
    })
  }

  describe.each(['fin', 'reset'] as const)('a connection that the backend closes at its next request, by %s', (how) => {
    it.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])(
      'costs a %s nothing: it goes out again on a new one',
      async (method) => {
        const backend = await closingAtReuse(how)
        const lb = await edge([backend], { ...hop, retry: { retries: 0 } })
        await send(lb.port)
        expect(await send(lb.port, { method })).toMatchObject({ status: 200 })
        const [, second] = await lb.completed(2)
        expect(second!.lb).toMatchObject({ result: 'ok', attempts: [{ result: 'ok', reused: false, stale: 1 }] })
        expect(second!.lb.retry_denied).toBeUndefined()
        expect(lb.balancer.snapshot().backends[0]).toMatchObject({ failures: 0 })
      },
    )

    it('costs a request without a place in the pool neither, although others wait for it', async () => {
      const backend = await closingAtReuse(how)
      const lb = await edge([backend], { ...hop, retry: { retries: 0 }, connections: { max: 1 } })
      const replies = await Promise.all(Array.from({ length: 9 }, () => send(lb.port)))
      expect(replies.map(({ status }) => status)).toEqual(Array.from({ length: 9 }, () => 200))
      await lb.completed(9)
    })

    it.each([
      ['POST', 'x'],
      ['POST', undefined],
      ['PUT', 'x'],
    ])('makes a %s with the body %j fail, which is never sent twice', async (method, body) => {
      const backend = await closingAtReuse(how)
      // Within the time for which what is not sent twice takes a connection that was used.
      const lb = await edge([backend], { ...hop, clock: fakeClock(), retry: { retries: 0 } })
      await send(lb.port)
      expect(await send(lb.port, { method, ...(body === undefined ? {} : { body }) })).toMatchObject({ status: 502 })
      const [, second] = await lb.completed(2)
      expect(second!.lb.attempts).toMatchObject([{ result: 'backend-reset', reused: true }])
      expect(backend.received.join('').split(`${method} /`)).toHaveLength(2)
    })
  })

  it('a new connection that fares no better fails the attempt, by its own fault', async () => {
    let requests = 0
    const backend = await rawBackend((socket) => {
      if (++requests === 1) socket.write(ok)
      else socket.resetAndDestroy()
    })
    const lb = await edge([backend], { ...hop, retry: { retries: 0 } })
    await send(lb.port)
    expect(await send(lb.port)).toMatchObject({ status: 502 })
    const [, second] = await lb.completed(2)
    expect(second!.lb.attempts).toMatchObject([{ result: 'backend-reset', reused: false, stale: 1 }])
    expect(requests).toBe(3)
    expect(lb.balancer.snapshot().backends[0]).toMatchObject({ failures: 1 })
  })

  it.each([
    ['a part of a head', 'HTTP/1.1 200'],
    ['what is no HTTP', 'nonsense'],
    ['an interim response', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'],
  ])('a connection that ends after %s was not stale', async (_, text) => {
    let requests = 0
    const backend = await rawBackend((socket) => {
      if (++requests === 1) socket.write(ok)
      else socket.end(text)
    })
    const lb = await edge([backend], { ...hop, retry: { retries: 0 } })
    await send(lb.port)
    expect(await send(lb.port)).toMatchObject({ status: 502 })
    const [, second] = await lb.completed(2)
    expect(second!.lb.attempts[0]).toMatchObject({ reused: true })
    expect(second!.lb.attempts[0]!.stale).toBeUndefined()
    expect(requests).toBe(2)
  })

  describe('what must not be sent twice', () => {
    it('goes out on a connection that was used within a second, or on a new one', async () => {
      const backend = await answering()
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock })
      const posts = async (afterMs: number): Promise<void> => {
        clock.advance(afterMs)
        await send(lb.port, { method: 'POST', body: 'x' })
        await lb.completed(lb.completions().length)
      }
      await posts(0)
      await posts(900)
      await posts(1100)
      clock.advance(1100)
      await send(lb.port)
      await lb.completed(4)
      expect(reuses(lb)).toEqual([false, true, false, true])
    })

    it('takes the place of an old connection where there is no room for one more', async () => {
      const backend = await answering()
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock, connections: { max: 1 } })
      await send(lb.port)
      await lb.completed(1)
      clock.advance(2000)
      expect((await send(lb.port, { method: 'POST', body: 'x' })).status).toBe(200)
      await lb.completed(2)
      expect(reuses(lb)).toEqual([false, false])
      await until(() => backend.sockets.size === 1)
    })

    it('follows what a backend shows of its patience', async () => {
      const sockets: Socket[] = []
      const backend = await rawBackend((socket) => {
        sockets.push(socket)
        socket.write(ok)
      })
      const clock = fakeClock()
      const lb = await edge([backend], { ...hop, clock })
      await send(lb.port)
      await lb.completed(1)
      clock.advance(400)
      sockets[0]!.end()
      await until(() => backend.sockets.size === 0)
      for (const afterMs of [0, 150, 250]) {
        clock.advance(afterMs)
        await send(lb.port, { method: 'POST', body: 'x' })
        await lb.completed(lb.completions().length)
      }
      expect(reuses(lb)).toEqual([false, false, true, false])
    })
  })
})

/** One attempt over the transport itself, as it ends; `began` is called when it is under way. */
function attempt(transport: Transport, request: AttemptRequest, began: () => void = () => undefined) {
  return new Promise<{ status?: number; facts?: Connected; failure?: AttemptFailure }>((resolve) => {
    let status: number | undefined
    let facts: Connected | undefined
    const told = () => ({ ...(status === undefined ? {} : { status }), ...(facts === undefined ? {} : { facts }) })
    transport.send(request, {
      onConnected: (given) => {
        facts = given
        began()
      },
      onInformation: () => undefined,
      onResponse: (given) => {
        status = given
      },
      onData: () => true,
      onEnd: () => resolve(told()),
      onFail: (failure) => resolve({ ...told(), failure }),
    })
  })
}

const refusedByAll: readonly Partial<AttemptRequest>[] = [
  { method: 'G T' },
  { path: '/a b' },
  { path: '/\u0100' },
  { headers: ['a b', 'c'] },
  { headers: ['', 'c'] },
  { headers: ['a', 'b\r\nc: d'] },
  { headers: ['a', 'b\0'] },
  { headers: ['Content-Length', '1', 'Content-Length', '2'] },
  { headers: ['Content-Length', '-1'] },
  { method: 'POST', headers: ['Content-Length', '9'], body: Buffer.from('short') },
  { method: 'POST', headers: ['Content-Length', '1'] },
]
/** What never comes to a transport. */
const refusedByUndici: readonly Partial<AttemptRequest>[] = [
  { method: '' },
  { path: 'relative' },
  { headers: ['a'] },
  { headers: ['Host', 'a', 'Host', 'b'] },
  { headers: ['Transfer-Encoding', 'chunked'] },
  { headers: ['Keep-Alive', 'timeout=5'] },
  { headers: ['Upgrade', 'x'] },
  { headers: ['Connection', 'a b'] },
  { headers: ['Expect', '100-continue'] },
]
const makers = { direct: directTransport, undici: undiciTransport, http: httpTransport }

describe.each(transports)('what %s refuses', (name) => {
  const poison: readonly Partial<AttemptRequest>[] = [...refusedByAll, ...(name === 'undici' ? refusedByUndici : [])]

  it('costs neither a place nor a connection, however often it comes', async () => {
    const held: (() => void)[] = []
    const backend = await answering((response) => void held.push(() => response.end('ok')))
    const max = 4
    const transport = makers[name]({
      clock: systemClock,
      connections: connectionsSchema.parse({ max, queue: 0 }),
      timeouts: timeoutsSchema.parse({}),
      tls: tlsSchema.parse({}),
    })
    onTestFinished(() => transport.close())
    const good = {
      backend: backendSchema.parse(backend.url),
      method: 'GET',
      path: '/',
      headers: ['Host', 'x'],
      body: undefined,
      repeatable: true,
    }
    /** As many at a time as there may be. */
    const full = async () => {
      const running = Array.from({ length: max }, () => attempt(transport, good))
      await until(() => held.length === max)
      expect((await attempt(transport, good)).failure).toMatchObject({ result: 'queue-full' })
      for (const answer of held.splice(0)) answer()
      return Promise.all(running)
    }
    const refuseAll = async () => {
      for (let i = 0; i < 10; i++)
        for (const bad of poison)
          expect((await attempt(transport, { ...good, ...bad })).failure, JSON.stringify(bad)).toMatchObject({
            result: 'internal',
            sent: false,
          })
    }
    await refuseAll()
    expect(backend.accepted()).toBe(0)
    expect((await full()).map(({ status }) => status)).toEqual(Array.from({ length: max }, () => 200))
    await refuseAll()
    expect((await full()).map(({ status, facts }) => [status, facts?.reused])).toEqual(
      Array.from({ length: max }, () => [200, true]),
    )
    expect(backend.accepted()).toBe(max)
    expect(backend.seen).toHaveLength(2 * max)
  })
})

describe('a backend that is given by a name', () => {
  it('is tried at every address, and the record has the one that was reached', async () => {
    const server = createServer((_request, response) => response.end('here'))
    closeAfterTest(server)
    // On one of the two addresses that the name may have.
    const port = await listen(server)
    const lb = await edge([`http://localhost:${port}`])
    expect((await send(lb.port)).body).toBe('here')
    expect((await lb.one()).lb.attempts).toMatchObject([{ address: 'localhost', peer_address: '127.0.0.1' }])
  })

  it('and refuses at each of them has refused', async () => {
    const { port: closed } = await refusing()
    const { port, one } = await edge([`http://localhost:${closed}`])
    expect((await send(port)).status).toBe(502)
    const { attempts } = (await one()).lb
    expect(attempts).toMatchObject([{ result: 'connect-refused', detail: 'ECONNREFUSED', address: 'localhost' }])
    expect(attempts[0]!.peer_address).toBeUndefined()
  })
})
