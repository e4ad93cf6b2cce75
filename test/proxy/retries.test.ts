// Retries: what may be sent again goes to a backend that was not tried yet, and the record tells of each attempt.
import { describe, expect, it } from 'vitest'
import type { Strategy } from '../../src/strategy.ts'
import { answering, httpBackend, rawBackend, refusing, saying, silent } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

const bodies = { chunked: ['Transfer-Encoding', 'chunked'], 'with a length': [] }

describe('a GET', () => {
  for (const [name, bad, result] of [
    ['refuses', () => refusing(), 'connect-refused'],
    ['ends the connection before its response', () => silent('fin'), 'backend-reset'],
    ['resets the connection before its response', () => silent('reset'), 'backend-reset'],
    ['does not speak HTTP', () => saying('nonsense\r\n\r\n'), 'response-invalid'],
  ] as const) {
    it(`goes to another backend when the first ${name}`, async () => {
      const [first, second] = [await bad(), await answering()]
      const { port, one } = await edge([first, second])
      expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
      const { lb } = await one()
      expect(lb).toMatchObject({
        result: 'ok',
        attempts: [
          { port: first.port, result, reason: 'custom' },
          { port: second.port, result: 'ok', status_code: 200, reason: 'custom' },
        ],
        decision: {
          backend: `127.0.0.1:${second.port}`,
          excluded: [{ backend: `127.0.0.1:${first.port}`, reason: 'tried' }],
        },
      })
      expect(lb.attempts[0]!.detail).toEqual(expect.any(String))
      expect(second.seen).toHaveLength(1)
    })
  }

  it('is tried as often as is configured, and no backend twice', async () => {
    const bad = await Promise.all([silent('fin'), silent('fin'), silent('fin'), silent('fin')])
    const { port, one } = await edge(bad, { retry: { retries: 2 } })
    expect(await send(port)).toMatchObject({ status: 502 })
    const { lb } = await one()
    expect(lb.attempts.map(({ result }) => result)).toEqual(Array(3).fill('backend-reset'))
    expect(new Set(lb.attempts.map(({ port }) => port)).size).toBe(3)
    expect(bad.map((backend) => backend.accepted()).sort()).toEqual([0, 1, 1, 1])
  })

  it('has the last failure for its answer when nobody is left', async () => {
    const { port, one } = await edge([await refusing(), await silent('fin')])
    expect(await send(port)).toMatchObject({ status: 502 })
    expect((await one()).lb).toMatchObject({
      result: 'backend-reset',
      attempts: [{ result: 'connect-refused' }, { result: 'backend-reset' }],
    })
  })

  it('is not tried again when that is off', async () => {
    const second = await answering()
    const { port, one } = await edge([await refusing(), second], { retry: { retries: 0 } })
    expect(await send(port)).toMatchObject({ status: 502 })
    expect((await one()).lb.attempts).toHaveLength(1)
    expect(second.seen).toEqual([])
  })

  it('is not tried again for the status of a response', async () => {
    const second = await answering()
    const { port, one } = await edge([await saying('HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n'), second])
    expect(await send(port)).toMatchObject({ status: 503, reason: 'Busy' })
    expect((await one()).lb).toMatchObject({ result: 'ok', attempts: [{ status_code: 503 }] })
  })
})

describe('a POST', () => {
  for (const [framing, headers] of Object.entries(bodies)) {
    it(`is not sent twice once a byte of it was: ${framing}`, async () => {
      const [first, second] = [await silent('fin'), await answering()]
      const { port, one } = await edge([first, second])
      expect(await send(port, { method: 'POST', headers, body: 'once' })).toMatchObject({ status: 502 })
      expect((await one()).lb).toMatchObject({ result: 'backend-reset', attempts: [{ result: 'backend-reset' }] })
      expect(second.seen).toEqual([])
    })

    it(`goes elsewhere with its body intact when the first backend refuses: ${framing}`, async () => {
      const body = 'x'.repeat(300_000)
      const second = await answering()
      const { port, one } = await edge([await refusing(), await refusing(), second])
      expect(await send(port, { method: 'POST', headers, body })).toMatchObject({ status: 200 })
      const event = await one()
      expect(event.lb.attempts.map(({ result }) => result)).toEqual(['connect-refused', 'connect-refused', 'ok'])
      expect(event.http.request.body.size).toBe(300_000)
      expect(second.seen).toHaveLength(1)
      expect(second.seen[0]!.body).toBe(body)
    })
  }

  it('without a body is not sent twice either', async () => {
    const second = await answering()
    const { port } = await edge([await silent('fin'), second])
    expect(await send(port, { method: 'POST', headers: ['Content-Length', '0'] })).toMatchObject({ status: 502 })
    expect(second.seen).toEqual([])
  })
})

describe('a PUT', () => {
  /** Reads what is sent to it, and ends the connection once that is so long. */
  const readingTo = (bytes: number) =>
    httpBackend((request) => {
      let size = 0
      request.on('error', () => undefined)
      request.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size >= bytes) request.socket.destroy()
      })
    })

  for (const [framing, headers] of Object.entries(bodies)) {
    const body = Buffer.alloc(50_000, 'abcdefg')

    it(`is sent again with its body intact, framed anew: ${framing}`, async () => {
      const [first, second, third] = [await readingTo(body.length), await readingTo(1), await answering()]
      const { port, one } = await edge([first, second, third])
      expect(await send(port, { method: 'PUT', headers, body })).toMatchObject({ status: 200 })
      const { lb, http } = await one()
      expect(lb.attempts.map(({ result }) => result)).toEqual(['backend-reset', 'backend-reset', 'ok'])
      expect(http.request.body.size).toBe(body.length)
      expect(third.seen[0]!.body).toBe(body.toString())
      const framed = framing === 'chunked' ? ['transfer-encoding', 'chunked'] : ['content-length', String(body.length)]
      expect(valuesOf(third.seen[0]!.rawHeaders, framed[0]!)).toEqual([framed[1]])
    })

    it(`goes on where the first attempt has stopped to read: ${framing}`, async () => {
      const [first, second] = [await readingTo(10), await answering()]
      const { port, one } = await edge([first, second])
      const start =
        headers.length > 0
          ? 'Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n'
          : 'Content-Length: 20\r\n\r\n0123456789'
      const client = await rawClient(port, `PUT / HTTP/1.1\r\nHost: a\r\n${start}`)
      await until(() => second.seen.length === 1)
      client.write(headers.length > 0 ? 'a\r\nabcdefghij\r\n0\r\n\r\n' : 'abcdefghij')
      await client.has(/ 200 [\s\S]*ok/)
      expect(second.seen[0]!.body).toBe('0123456789abcdefghij')
      expect((await one()).http.request.body.size).toBe(20)
    })

    it(`is not sent again once more was read than is kept: ${framing}`, async () => {
      const second = await answering()
      const { port, one } = await edge([await readingTo(body.length), second], {
        retry: { bodyBytes: body.length - 1 },
      })
      expect(await send(port, { method: 'PUT', headers, body })).toMatchObject({ status: 502 })
      expect((await one()).lb).toMatchObject({ retry_denied: 'body', attempts: [{ result: 'backend-reset' }] })
      expect(second.seen).toEqual([])
    })
  }

  it('is sent again when just so much was read as is kept', async () => {
    const second = await answering()
    const { port } = await edge([await readingTo(4), second], { retry: { bodyBytes: 4 } })
    expect(await send(port, { method: 'PUT', body: 'once' })).toMatchObject({ status: 200 })
    expect(second.seen[0]!.body).toBe('once')
  })

  it('whose body was begun is not sent again where none is kept', async () => {
    const second = await answering()
    const { port, one } = await edge([await silent('fin'), second], { retry: { bodyBytes: 0 } })
    expect(await send(port, { method: 'PUT', body: 'once' })).toMatchObject({ status: 502 })
    expect((await one()).lb).toMatchObject({ retry_denied: 'body', attempts: { length: 1 } })
    expect(second.seen).toEqual([])
  })

  it('that its client leaves unfinished costs no attempt more', async () => {
    const [first, second] = [await httpBackend((request) => void request.resume()), await answering()]
    const { port, one } = await edge([first, second])
    const client = await rawClient(port, 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
    await until(() => first.accepted() === 1)
    client.socket.destroy()
    expect((await one()).lb).toMatchObject({ result: 'client-gone', attempts: { length: 1 } })
    expect(second.seen).toEqual([])
  })
})

describe('a status that asks for a retry', () => {
  const busy = (body = 'busy', headers: Record<string, string> = {}) =>
    answering((response) => response.writeHead(503, 'Busy', { 'x-from': body.slice(0, 4), ...headers }).end(body))
  const retry = { statuses: [503] }

  it('is followed by another backend, whose response the client gets', async () => {
    const [first, second] = [await busy(), await answering()]
    const { port, one } = await edge([first, second], { retry })
    expect(await send(port)).toMatchObject({ status: 200, body: 'ok' })
    expect((await one()).lb).toMatchObject({
      result: 'ok',
      attempts: [
        { port: first.port, result: 'ok', status_code: 503 },
        { port: second.port, result: 'ok', status_code: 200 },
      ],
      decision: { backend: `127.0.0.1:${second.port}`, retry: 1 },
    })
  })

  it('leaves the connection of a short response to the next request', async () => {
    const first = await busy()
    const { port, completed } = await edge([first, await answering()], { retry })
    for (let i = 0; i < 3; i++) expect(await send(port)).toMatchObject({ status: 200 })
    const events = await completed(3)
    expect(events.map(({ lb }) => lb.attempts[0]!.reused)).toEqual([false, true, true])
    expect(first.accepted()).toBe(1)
  })

  for (const [size, length] of [
    ['short', 4],
    ['long', 3_000_000],
  ] as const) {
    it(`is passed on as it was when all others fail: ${size}`, async () => {
      const body = 'busy'.repeat(length / 4)
      const [first, second, third] = [await busy(body), await silent('fin'), await refusing()]
      const { port, one } = await edge([first, second, third], { retry })
      expect(await send(port)).toMatchObject({ status: 503, reason: 'Busy', body, headers: { 'x-from': 'busy' } })
      const event = await one()
      expect(event).toMatchObject({
        lb: {
          result: 'ok',
          ended_by: 'backend',
          attempts: [{ result: 'ok', status_code: 503 }, { result: 'backend-reset' }, { result: 'connect-refused' }],
          decision: { backend: `127.0.0.1:${first.port}` },
          retry_denied: 'limit',
        },
        http: { response: { status_code: 503, body: { size: length } } },
        outcome: 'failure',
      })
    })

    it(`is passed on at once when nobody else is left: ${size}`, async () => {
      const body = 'last'.repeat(length / 4)
      const { port, one } = await edge([await busy('first'), await busy(body)], { retry })
      expect(await send(port)).toMatchObject({ status: 503, body, headers: { 'x-from': 'last' } })
      expect((await one()).lb).toMatchObject({ attempts: { length: 2 }, retry_denied: 'no-backend' })
    })
  }

  it('is given up with its connection where its body is too long to wait for', async () => {
    const first = await busy('x'.repeat(3_000_000))
    const { port, one } = await edge([first, await answering()], { retry })
    expect(await send(port)).toMatchObject({ status: 200 })
    expect((await one()).lb.attempts).toMatchObject([{ result: 'ok', status_code: 503 }, { result: 'ok' }])
    await until(() => first.sockets.size === 0)
  })

  it('is passed on for a method that must not be sent twice', async () => {
    const second = await answering()
    const { port, one } = await edge([await busy(), second], { retry })
    expect(await send(port, { method: 'POST', body: 'once' })).toMatchObject({ status: 503, body: 'busy' })
    expect((await one()).lb).toMatchObject({ retry_denied: 'method' })
    expect(second.seen).toEqual([])
  })

  it('answers with the failure of the last attempt when the response that was set aside is cut', async () => {
    const first = await rawBackend((socket) =>
      socket.write('HTTP/1.1 503 Busy\r\nContent-Length: 10\r\n\r\nhalf.', () => socket.resetAndDestroy()),
    )
    const second = await rawBackend((socket) => void until(() => first.sockets.size === 0).then(() => socket.end()))
    const { port, one } = await edge([first, second], { retry })
    expect(await send(port)).toMatchObject({ status: 502 })
    const { lb } = await one()
    expect(lb).toMatchObject({
      result: 'backend-reset',
      attempts: [{ result: 'backend-cut' }, { result: 'backend-reset' }],
    })
  })

  it('whose head cannot be passed on is 502 when all others fail', async () => {
    const first = await saying('HTTP/1.1 503 Busy\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n')
    const { port, one } = await edge([first, await silent('fin')], { retry })
    expect(await send(port)).toMatchObject({ status: 502 })
    expect((await one()).lb).toMatchObject({
      result: 'response-invalid',
      detail: 'a transfer coding other than chunked',
    })
  })
})

describe('Retry-After', () => {
  it('is told to the strategy with the end of the attempt', async () => {
    const told: unknown[] = []
    const strategy: Strategy = {
      name: 'listening',
      pick: (candidates, draft) => candidates.find((one) => draft.admits(one)),
      observe: (_backend, { failed, retryAfterMs }) => void told.push([failed, retryAfterMs]),
    }
    const first = await answering((response) => response.writeHead(503, { 'retry-after': '7' }).end())
    const second = await answering((response) => response.writeHead(200, { 'retry-after': '8' }).end())
    const { port, one } = await edge([first, second], { strategy, retry: { statuses: [503] } })
    expect(await send(port)).toMatchObject({ status: 200 })
    await one()
    expect(told).toEqual([
      [true, 7000],
      [false, undefined],
    ])
  })
})

describe('a retry that is denied', () => {
  it.each([
    ['method', { method: 'POST', body: 'once' }, {}],
    ['limit', {}, { retries: 0 }],
    ['budget', {}, { budget: { percent: 0, minPerSecond: 0 } }],
    ['no-backend', {}, {}],
  ] as const)('says why: %s', async (denied, request, retry) => {
    const others = denied === 'no-backend' ? [] : [await answering()]
    const { port, one } = await edge([await silent('fin'), ...others], { retry })
    expect(await send(port, request)).toMatchObject({ status: 502 })
    expect((await one()).lb).toMatchObject({ result: 'backend-reset', retry_denied: denied, attempts: { length: 1 } })
  })

  it('is not told of a request that came to a good end', async () => {
    const { port, one } = await edge([await silent('fin'), await answering()])
    await send(port)
    expect((await one()).lb).not.toHaveProperty('retry_denied')
  })
})

describe('a retry', () => {
  it('goes on to other zones, levels and groups, past one that is full, and away from the one that a client is bound to', async () => {
    const clock = fakeClock()
    const [held, good] = await Promise.all([httpBackend(() => undefined), answering()])
    const bad = await Promise.all([refusing(), refusing(), refusing(), refusing()])
    const { port, completions, balancer } = await edge(
      [
        { url: bad[0]!.url, options: { id: 'own', zone: 'here' } },
        { url: held.url, options: { id: 'full', zone: 'here', maxInFlight: 1 } },
        { url: bad[1]!.url, options: { id: 'far', zone: 'there' } },
        { url: bad[2]!.url, options: { id: 'spare', zone: 'here', priority: 1 } },
        { url: bad[3]!.url, options: { id: 'canary', group: 'canary' } },
        { url: good.url, options: { id: 'last', group: 'canary', priority: 1 } },
      ],
      {
        clock,
        affinity: { key: { header: 'x-user' } },
        health: { passive: false },
        locality: { zone: 'here' },
        split: { default: 1_000_000, canary: 1 },
        retry: { retries: 5 },
      },
    )
    // Takes the place on the one that holds its requests.
    const ops = balancer.as({ id: 'test', type: 'system' })
    await ops.drain('own')
    void send(port, { path: '/held' }).catch(() => undefined)
    await until(() => balancer.snapshot().backends.find(({ id }) => id === 'full')!.inFlight === 1)
    await ops.undrain('own')
    for (let i = 0; i < 2; i++) {
      expect((await send(port, { headers: ['x-user', 'ann'] })).status).toBe(200)
      await until(() => completions().length === i + 1)
    }
    expect(completions().map(({ lb }) => lb.attempts.map(({ backend }) => backend))).toEqual([
      ['own', 'far', 'spare', 'canary', 'last'],
      // It is bound to the one that answered.
      ['last'],
    ])
  })
})

describe('the budget', () => {
  it('keeps attempts within 1.2 times the requests and the floor while every backend fails', async () => {
    const clock = fakeClock()
    const bad = await Promise.all([refusing(), refusing(), refusing(), refusing()])
    const { port, completed } = await edge(bad, { clock, health: { passive: false } })
    const requests = 600
    for (let sent = 0; sent < requests; sent += 50)
      await Promise.all(Array.from({ length: 50 }, () => send(port, { method: sent % 100 === 0 ? 'GET' : 'POST' })))
    const events = await completed(requests)
    const attempts = events.reduce((sum, { lb }) => sum + lb.attempts.length, 0)
    // The clock stands: one window, whose floor is 10 s of 10. All of it is used.
    expect(attempts).toBe(requests * 1.2 + 100)
    const denials = events.map(({ lb }) => lb.retry_denied)
    expect(denials.filter((denied) => denied === 'budget').length).toBeGreaterThan(0)
    expect(denials.filter((denied) => denied !== 'budget' && denied !== 'limit')).toEqual([])
  })
})

describe('a time of its own', () => {
  it('ends an attempt, and another one follows', async () => {
    const clock = fakeClock()
    const [first, second] = [await httpBackend(() => undefined), await answering()]
    const { port, one, balancer } = await edge([first, second], { clock, timeouts: { tryMs: 700 } })
    const reply = send(port)
    await until(() => first.accepted() === 1 && clock.timers >= 1 && balancer.snapshot().inFlight === 1)
    clock.advance(699)
    expect(second.seen).toEqual([])
    clock.advance(1)
    expect(await reply).toMatchObject({ status: 200 })
    expect((await one()).lb).toMatchObject({
      result: 'ok',
      attempts: [
        { result: 'try-timeout', detail: 'no response within 700 ms', duration_us: 700_000 },
        { result: 'ok' },
      ],
    })
    expect(balancer.snapshot().backends.map(({ failures }) => failures)).toEqual([1, 0])
    await until(() => first.sockets.size === 0)
  })

  it('is 504 when nobody is left, and does not send twice what must not be', async () => {
    const clock = fakeClock()
    const [first, second] = [await rawBackend(() => undefined), await answering()]
    const { port, one } = await edge([first, second], { clock, timeouts: { tryMs: 700 } })
    const reply = send(port, { method: 'POST', body: 'once' })
    await until(() => first.received.some((text) => text.includes('once')))
    clock.advance(700)
    expect(await reply).toMatchObject({ status: 504 })
    expect((await one()).lb).toMatchObject({ result: 'try-timeout', retry_denied: 'method' })
    expect(second.seen).toEqual([])
  })

  it('is over with the head of the response', async () => {
    const clock = fakeClock()
    let end: (() => void) | undefined
    const backend = await httpBackend((_request, response) => {
      response.write('some')
      end = () => void response.end(' more')
    })
    const { port, one } = await edge([backend], { clock, timeouts: { tryMs: 700, totalMs: 900 } })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await client.has('some')
    clock.advance(10_000)
    end!()
    await client.has(/some[\s\S]*more/)
    expect((await one()).lb).toMatchObject({ result: 'ok' })
  })
})

describe('the time of all attempts', () => {
  it('ends the request, whatever attempt it is at', async () => {
    const clock = fakeClock()
    const [first, second, third] = [await silent('fin'), await httpBackend(() => undefined), await answering()]
    const { port, one } = await edge([first, second, third], { clock, timeouts: { totalMs: 900 } })
    const reply = send(port)
    await until(() => second.accepted() === 1)
    clock.advance(900)
    expect(await reply).toMatchObject({ status: 504 })
    expect((await one()).lb).toMatchObject({
      result: 'total-timeout',
      ended_by: 'backend',
      attempts: [{ result: 'backend-reset' }, { result: 'total-timeout', detail: 'no response within 900 ms' }],
    })
    expect(third.seen).toEqual([])
    await until(() => second.sockets.size === 0)
  })

  it('brings out the response that was set aside', async () => {
    const clock = fakeClock()
    const [first, second] = [
      await answering((response) => response.writeHead(503).end('busy')),
      await httpBackend(() => undefined),
    ]
    const { port, one } = await edge([first, second], { clock, retry: { statuses: [503] }, timeouts: { totalMs: 900 } })
    const reply = send(port)
    await until(() => second.accepted() === 1)
    clock.advance(900)
    expect(await reply).toMatchObject({ status: 503, body: 'busy' })
    expect((await one()).lb).toMatchObject({ result: 'ok', attempts: [{ result: 'ok' }, { result: 'total-timeout' }] })
  })

  it('leaves no timer behind', async () => {
    const clock = fakeClock()
    const { port, completed } = await edge([await silent('fin'), await answering()], {
      clock,
      timeouts: { tryMs: 700, totalMs: 900 },
      hedge: { delayMs: 800 },
      health: { passive: false },
    })
    await send(port)
    await completed(1)
    // That of the connection, which is kept.
    const before = clock.timers
    for (let i = 0; i < 5; i++) await send(port)
    await completed(6)
    expect(clock.timers).toBe(before)
  })
})

describe('a request on a connection that went stale', () => {
  it('goes to another backend where a fresh connection fares no better, and the record tells of both', async () => {
    let requests = 0
    // Answers the first request, and closes at the second: as a server does whose keep-alive time is over.
    const stale = await rawBackend((socket) => {
      if (++requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale')
      else socket.end()
    })
    const other = await answering((response) => response.end('other'))
    const { port, completed } = await edge([stale, other])
    const got = [(await send(port)).body, (await send(port)).body, (await send(port)).body]
    expect(got).toEqual(['stale', 'other', 'other'])
    const second = (await completed(3))[1]!
    expect(second.lb.attempts).toMatchObject([{ result: 'backend-reset', reused: false, stale: 1 }, { result: 'ok' }])
  })
})
