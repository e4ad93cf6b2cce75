// Hedging: a request whose response takes long goes to a second backend too, and the faster one is the answer.
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { answering, httpBackend, rawBackend, refusing, silent } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

/** Reads each request, and answers when the test says so. */
async function waiting() {
  const responses: ServerResponse[] = []
  const backend = await answering((response) => void responses.push(response))
  return { ...backend, responses, asked: () => responses.length > 0 }
}

const hedge = { delayMs: 100 }

async function setUp(options: object = {}, count = 2) {
  const clock = fakeClock()
  const backends = await Promise.all(Array.from({ length: count }, () => waiting()))
  const [first, second] = backends as [(typeof backends)[0], (typeof backends)[0]]
  const record = await edge(backends, { clock, hedge, ...options })
  return { clock, backends, first, second, ...record }
}

describe('a request that waits longer than the delay', () => {
  it('is answered by the second backend where that is faster', async () => {
    const { clock, first, second, port, one, balancer } = await setUp()
    const reply = send(port)
    await until(first.asked)
    clock.advance(99)
    expect(balancer.snapshot().backends.map(({ inFlight }) => inFlight)).toEqual([1, 0])
    clock.advance(1)
    expect(balancer.snapshot().backends.map(({ inFlight }) => inFlight)).toEqual([1, 1])
    await until(second.asked)
    second.responses[0]!.end('second')
    expect(await reply).toMatchObject({ status: 200, body: 'second' })
    const { lb } = await one()
    expect(lb).toMatchObject({
      result: 'ok',
      attempts: [
        { port: first.port, result: 'hedge-lost', detail: `127.0.0.1:${second.port} was faster`, duration_us: 100_000 },
        { port: second.port, result: 'ok', status_code: 200 },
      ],
      decision: { backend: `127.0.0.1:${second.port}`, hedge: true },
    })
    expect(lb.decision).not.toHaveProperty('retry')
    expect(balancer.snapshot().backends.map(({ failures }) => failures)).toEqual([0, 0])
    await until(() => first.sockets.size === 0)
  })

  it('is answered by the first one where that is faster after all', async () => {
    const { clock, first, second, port, one } = await setUp()
    const reply = send(port)
    await until(first.asked)
    clock.advance(100)
    await until(second.asked)
    first.responses[0]!.end('first')
    expect(await reply).toMatchObject({ status: 200, body: 'first' })
    const { lb } = await one()
    expect(lb.attempts).toMatchObject([{ result: 'ok' }, { result: 'hedge-lost', hedge: true }])
    expect(lb.attempts[0]).not.toHaveProperty('hedge')
    expect(lb.decision).toMatchObject({ backend: `127.0.0.1:${first.port}` })
    expect(lb.decision).not.toHaveProperty('hedge')
    await until(() => second.sockets.size === 0)
  })

  it('has as many attempts beside the first one as is configured, each after the same delay', async () => {
    const { clock, backends, port, one, balancer } = await setUp({ hedge: { delayMs: 100, max: 2 } }, 4)
    const reply = send(port)
    await until(backends[0]!.asked)
    const inFlight = () => balancer.snapshot().backends.map(({ inFlight }) => inFlight)
    clock.advance(100)
    expect(inFlight()).toEqual([1, 1, 0, 0])
    clock.advance(100)
    expect(inFlight()).toEqual([1, 1, 1, 0])
    clock.advance(1000)
    expect(inFlight()).toEqual([1, 1, 1, 0])
    await until(() => backends[2]!.asked())
    backends[2]!.responses[0]!.end('third')
    expect(await reply).toMatchObject({ body: 'third' })
    expect((await one()).lb.attempts.map(({ result }) => result)).toEqual(['hedge-lost', 'hedge-lost', 'ok'])
  })

  it('goes on with the first one when the second fails', async () => {
    const clock = fakeClock()
    const first = await waiting()
    const { port, one, balancer } = await edge([first, await refusing()], { clock, hedge })
    const reply = send(port)
    await until(first.asked)
    clock.advance(100)
    await until(() => balancer.snapshot().backends[1]!.failures === 1)
    first.responses[0]!.end('first')
    expect(await reply).toMatchObject({ status: 200, body: 'first' })
    expect((await one()).lb.attempts).toMatchObject([{ result: 'ok' }, { result: 'connect-refused' }])
  })

  it('is retried only when all have failed that run beside each other', async () => {
    const clock = fakeClock()
    const [first, second] = [await waiting(), await waiting()]
    const third = await answering()
    const { port, one, balancer } = await edge([first, second, third], { clock, hedge })
    const reply = send(port)
    await until(first.asked)
    clock.advance(100)
    await until(second.asked)
    for (const socket of first.sockets) socket.destroy()
    await until(() => balancer.snapshot().backends[0]!.inFlight === 0)
    expect(third.seen).toEqual([])
    for (const socket of second.sockets) socket.destroy()
    expect(await reply).toMatchObject({ status: 200, body: 'ok' })
    const { lb } = await one()
    expect(lb.attempts.map(({ result }) => result)).toEqual(['backend-reset', 'backend-reset', 'ok'])
    expect(lb.decision).toMatchObject({ retry: 2 })
  })

  it('takes the better of two responses where a status asks for a retry', async () => {
    const { clock, first, second, port, one, balancer } = await setUp({ retry: { statuses: [503] } })
    const reply = send(port)
    await until(first.asked)
    clock.advance(100)
    await until(second.asked)
    first.responses[0]!.writeHead(503).end('busy')
    await until(() => balancer.snapshot().backends[0]!.inFlight === 0)
    second.responses[0]!.end('second')
    expect(await reply).toMatchObject({ status: 200, body: 'second' })
    expect((await one()).lb.attempts).toMatchObject([{ result: 'ok', status_code: 503 }, { result: 'ok' }])
  })

  it('is broken off everywhere, in the same tick, when its client leaves', async () => {
    const { clock, first, second, port, one, completions, balancer } = await setUp()
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(first.asked)
    clock.advance(100)
    await until(second.asked)
    const seen: number[][] = []
    balancer.audit.on('request.completed', () => {
      seen.push(balancer.snapshot().backends.map(({ inFlight }) => inFlight))
    })
    client.socket.destroy()
    await one()
    // Both had been given back before the record was made.
    expect(seen).toEqual([[0, 0]])
    expect(completions()[0]!.lb).toMatchObject({
      result: 'client-gone',
      attempts: [{ result: 'client-gone' }, { result: 'client-gone' }],
    })
    await until(() => first.sockets.size === 0 && second.sockets.size === 0)
  })

  it('ends with both attempts when the balancer closes', async () => {
    const { clock, first, second, port, completions, balancer } = await setUp()
    const reply = send(port)
    await until(first.asked)
    clock.advance(100)
    await until(second.asked)
    const closed = balancer.close({ deadlineMs: 50 })
    await until(() => {
      clock.advance(10)
      return completions().length === 1
    })
    expect(await reply).toMatchObject({ status: 503 })
    expect(completions()[0]!.lb).toMatchObject({ result: 'closing', attempts: { length: 2 }, retry_denied: 'closing' })
    const over = { done: false }
    void closed.then(() => {
      over.done = true
    })
    await until(() => {
      clock.advance(10)
      return over.done
    })
  })
})

describe('a hedge', () => {
  const sends = async (request: object, options: object) => {
    const { clock, first, second, port, one, balancer } = await setUp(options)
    const reply = send(port, request)
    await until(first.asked)
    clock.advance(1000)
    const hedged = balancer.snapshot().backends[1]!.inFlight === 1
    if (hedged) await until(second.asked)
    first.responses[0]!.end('first')
    await reply
    await one()
    return { hedged, second }
  }

  it.each([
    ['of a GET is sent', {}, {}, true],
    ['of a POST is not', { method: 'POST' }, {}, false],
    ['of a method that is not to be repeated is not', {}, { retry: { methods: ['HEAD'] } }, false],
    ['is not sent where it is off', {}, { hedge: false }, false],
    ['is not sent where the budget is spent', {}, { retry: { budget: { percent: 0, minPerSecond: 0 } } }, false],
    ['is sent without retries too', {}, { retry: { retries: 0 } }, true],
    ['has the body, where all of it is kept', { method: 'PUT', body: 'all of it' }, {}, true],
    ['is not sent where the body is not kept', { method: 'PUT', body: 'x' }, { retry: { bodyBytes: 0 } }, false],
  ])('%s', async (_name, request, options, expected) => {
    const { hedged, second } = await sends(request, options)
    expect(hedged).toBe(expected)
    expect(second.seen.map(({ body }) => body)).toEqual(expected ? [(request as { body?: string }).body ?? ''] : [])
  })

  it('waits for nobody who is not eligible', async () => {
    const { clock, first, port, one } = await setUp({}, 1)
    const reply = send(port)
    await until(first.asked)
    clock.advance(1000)
    first.responses[0]!.end('first')
    expect(await reply).toMatchObject({ body: 'first' })
    expect((await one()).lb).toMatchObject({ attempts: { length: 1 }, decision: { reason: 'custom' } })
  })

  it('is not sent while the body still comes', async () => {
    const clock = fakeClock()
    const [first, second] = [await rawBackend(() => undefined), await answering()]
    const { port, one } = await edge([first, second], { clock, hedge })
    const client = await rawClient(port, 'PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.')
    await until(() => first.received[0]?.includes('half.') === true)
    clock.advance(1000)
    client.socket.destroy()
    expect((await one()).lb.attempts).toHaveLength(1)
    expect(second.seen).toEqual([])
  })

  it.each([
    [100, ['backend-reset', 'client-gone']],
    [200, ['backend-reset', 'client-gone', 'client-gone']],
  ])('draws from the budget that its retry has drawn from: %i %%', async (percent, results) => {
    const clock = fakeClock()
    const [second, third] = [await rawBackend(() => undefined), await rawBackend(() => undefined)]
    const { port, completed } = await edge([await silent('fin'), second, third], {
      clock,
      hedge,
      retry: { budget: { percent, minPerSecond: 0 } },
    })
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => second.accepted() === 1)
    clock.advance(1000)
    client.socket.destroy()
    expect((await completed(1))[0]!.lb.attempts.map(({ result }) => result)).toEqual(results)
  })
})

describe('a delay by percentile', () => {
  async function warmed(requests: number, tookMs: (i: number) => number) {
    const clock: FakeClock = fakeClock()
    let i = 0
    let slow = false
    const first = await httpBackend((_request, response) => {
      if (slow) return
      clock.advance(tookMs(i++))
      response.end('first')
    })
    const second = await answering((response) => response.end('second'))
    const options = { clock, hedge: { percentile: 90, minDelayMs: 5 } }
    const { port, balancer } = await edge([first, second], options)
    for (let sent = 0; sent < requests; sent++) await send(port)
    slow = true
    const client = await rawClient(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => balancer.snapshot().backends[0]!.inFlight === 1)
    let waitedMs = 0
    while (waitedMs < 5000 && balancer.snapshot().backends[1]!.picks === 0) {
      clock.advance(1)
      waitedMs++
    }
    client.socket.destroy()
    return waitedMs
  }

  it('is what so many percent of the latest responses stayed within, to 1/8', async () => {
    // Nine of ten took 20 ms, the tenth 800.
    const ms = await warmed(100, (i) => (i % 10 === 9 ? 800 : 20))
    expect(ms).toBeGreaterThanOrEqual(20)
    expect(ms).toBeLessThanOrEqual(23)
  })

  it('is never shorter than the shortest that is allowed', async () => {
    expect(await warmed(100, () => 0)).toBe(5)
  })

  it('is none until 100 responses are known', async () => {
    expect(await warmed(99, () => 20)).toBe(5000)
  })
})
