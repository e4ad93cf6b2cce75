// Capacity: a backend never has more than it may, and requests for which all are full wait their turn.
import { describe, expect, it } from 'vitest'
import { answering, httpBackend, rawBackend, silent, type TestBackend } from '../support/backends.ts'
import { type Edge, edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

interface Holding extends TestBackend {
  /** The requests that wait for their answers, and all that came, by their paths. */
  readonly held: { url: string; answer(): void }[]
  readonly seen: string[]
  readonly most: () => number
}

/** Answers when it is told to, and counts how many it has at once. */
async function holding(): Promise<Holding> {
  const held: Holding['held'] = []
  const seen: string[] = []
  let most = 0
  const backend = await httpBackend((request, response) => {
    const url = request.url ?? ''
    seen.push(url)
    const answer = (): void => {
      held.splice(held.indexOf(one), 1)
      response.end(url)
    }
    const one = { url, answer }
    held.push(one)
    most = Math.max(most, held.length)
  })
  return { ...backend, held, seen, most: () => most }
}

const bounded = (backend: TestBackend, maxInFlight: number) => ({ url: backend.url, options: { maxInFlight } })
const inFlight = (e: Edge): number => e.balancer.snapshot().inFlight

/** Sends a request once all before it are in the balancer's hands. */
async function next(e: Edge, path: string) {
  const before = inFlight(e)
  const reply = send(e.port, { path })
  await until(() => inFlight(e) > before)
  return { reply }
}

it('never has more at a backend than it may, and serves a burst whole', async () => {
  const backend = await holding()
  const e = await edge([bounded(backend, 3)], { queue: { timeoutMs: 60_000 } })
  const replies = Array.from({ length: 100 }, (_, i) => send(e.port, { path: `/${i}` }))
  await until(() => inFlight(e) === 100)
  for (let done = 0; done < 100; done++) {
    await until(() => backend.held.length > 0)
    backend.held[done % backend.held.length]!.answer()
  }
  expect((await Promise.all(replies)).map(({ status }) => status)).toEqual(Array(100).fill(200))
  expect(backend.most()).toBe(3)
  const waits = (await e.completed(100)).map(({ lb }) => lb.timing)
  expect(waits.filter(({ queue_us }) => queue_us > 0)).toHaveLength(97)
  for (const { queue_us, total_us } of waits) expect(queue_us).toBeLessThanOrEqual(total_us)
})

it('keeps to the limit of each backend', async () => {
  const [one, two] = [await holding(), await holding()]
  const e = await edge([bounded(one, 2), bounded(two, 1)], { queue: { timeoutMs: 60_000 } })
  const replies = Array.from({ length: 40 }, (_, i) => send(e.port, { path: `/${i}` }))
  for (let done = 0; done < 40; done++) {
    await until(() => one.held.length + two.held.length === Math.min(3, 40 - done))
    ;[...two.held, ...one.held].at(done % 2 === 0 ? 0 : -1)!.answer()
  }
  expect((await Promise.all(replies)).map(({ body }) => body)).toEqual(Array.from({ length: 40 }, (_, i) => `/${i}`))
  expect([one.most(), two.most()]).toEqual([2, 1])
})

describe('a request for which everybody is full', () => {
  it('is served in its turn: first come, first served', async () => {
    const backend = await holding()
    const e = await edge([bounded(backend, 1)], { queue: { timeoutMs: 60_000 } })
    const paths = Array.from({ length: 8 }, (_, i) => `/${i}`)
    const sent = []
    for (const path of paths) sent.push((await next(e, path)).reply)
    for (const path of paths) {
      await until(() => backend.held[0]?.url === path)
      backend.held[0]!.answer()
    }
    await Promise.all(sent)
    expect(backend.seen).toEqual(paths)
  })

  it('gets 503 when its time is over, which is no fault of the backend', async () => {
    const clock = fakeClock()
    const backend = await holding()
    const e = await edge([bounded(backend, 1)], { clock, queue: { timeoutMs: 500 } })
    const first = (await next(e, '/first')).reply
    await until(() => backend.held.length === 1)
    const late = (await next(e, '/late')).reply
    clock.advance(499)
    expect(e.completions()).toEqual([])
    clock.advance(1)
    expect(await late).toMatchObject({ status: 503, headers: { 'retry-after': '1' } })
    expect(JSON.parse((await late).body).error.code).toBe('capacity-timeout')
    await until(() => e.completions().length === 1)
    const { lb } = e.completions()[0]!
    expect(lb).toMatchObject({
      result: 'capacity-timeout',
      ended_by: 'balancer',
      attempts: [],
      decision: { reason: 'none-eligible', candidates: 0, excluded: [{ reason: 'at-capacity' }] },
      timing: { queue_us: 500_000, total_us: 500_000 },
    })
    backend.held[0]!.answer()
    expect((await first).status).toBe(200)
    expect(e.balancer.snapshot().backends[0]).toMatchObject({ failures: 0, picks: 1, passive: 'ok' })
    expect(backend.seen).toEqual(['/first'])
  })

  it('gets 503 at once when too many wait, or none may', async () => {
    for (const max of [2, 0]) {
      const backend = await holding()
      const e = await edge([bounded(backend, 1)], { queue: { max, timeoutMs: 60_000 } })
      const waiting = []
      for (let i = 0; i <= max; i++) waiting.push((await next(e, `/${i}`)).reply)
      const refused = await send(e.port, { path: '/refused' })
      expect(refused.status).toBe(503)
      expect(JSON.parse(refused.body).error.code).toBe('capacity-full')
      for (let i = 0; i <= max; i++) {
        await until(() => backend.held.length === 1)
        backend.held[0]!.answer()
      }
      expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(Array(max + 1).fill(200))
      const results = (await e.completed(max + 2)).map(({ lb }) => lb.result)
      expect(results.filter((result) => result === 'capacity-full')).toHaveLength(1)
    }
  })

  it('gives its place up when its client leaves', async () => {
    const backend = await holding()
    const e = await edge([bounded(backend, 1)], { queue: { max: 1, timeoutMs: 60_000 } })
    const first = (await next(e, '/first')).reply
    const client = await rawClient(e.port, 'GET /gone HTTP/1.1\r\nHost: a\r\n\r\n')
    await until(() => inFlight(e) === 2)
    client.socket.resetAndDestroy()
    await until(() => inFlight(e) === 1)
    const second = (await next(e, '/second')).reply
    for (const path of ['/first', '/second']) {
      await until(() => backend.held[0]?.url === path)
      backend.held[0]!.answer()
    }
    expect([(await first).status, (await second).status]).toEqual([200, 200])
    expect(backend.seen).toEqual(['/first', '/second'])
    const gone = (await e.completed(3)).find(({ url }) => url.path === '/gone')!
    expect(gone).toMatchObject({
      lb: { result: 'client-gone', attempts: [] },
      http: { response: { status_code: 499 } },
    })
  })

  it('is refused when the balancer closes', async () => {
    const backend = await holding()
    const e = await edge([bounded(backend, 1)], { queue: { timeoutMs: 60_000 } })
    const first = (await next(e, '/first')).reply
    const waits = (await next(e, '/waits')).reply
    await until(() => backend.held.length === 1)
    const closed = e.balancer.close()
    expect(JSON.parse((await waits).body).error.code).toBe('closing')
    backend.held[0]!.answer()
    expect((await first).status).toBe(200)
    await closed
    expect(backend.seen).toEqual(['/first'])
  })

  it('waits with its body unread, and then has all of it', async () => {
    const backend = await answering((response, _, body) => response.end(String(body.length)))
    const e = await edge([bounded(backend, 1)], { queue: { timeoutMs: 60_000 } })
    const lease = e.balancer.pick()
    const body = Buffer.alloc(300_000, 'x')
    const reply = send(e.port, { method: 'POST', body })
    await until(() => inFlight(e) === 2)
    lease.done({ result: 'ok' })
    expect(await reply).toMatchObject({ status: 200, body: '300000' })
  })

  it('waits for its further attempts too, and else has the failure for its answer', async () => {
    const clock = fakeClock()
    const [bad, full] = [await silent('fin'), await answering()]
    const e = await edge([bad, bounded(full, 1)], { clock, queue: { timeoutMs: 500 } })
    const [first, second] = [e.balancer.pick(), e.balancer.pick()]
    expect([first.backend?.url, second.backend?.url]).toEqual([bad.url, bad.url])
    await e.balancer.as({ id: 'ops', type: 'user' }).setWeight(`127.0.0.1:${bad.port}`, 0)
    const lease = e.balancer.pick()
    expect(lease.backend?.url).toBe(full.url)
    await e.balancer.as({ id: 'ops', type: 'user' }).setWeight(`127.0.0.1:${bad.port}`, 1)
    for (const one of [first, second]) one.done({ result: 'ok' })
    const failed = send(e.port)
    await until(() => bad.accepted() === 1 && e.balancer.snapshot().backends[0]!.inFlight === 0)
    clock.advance(500)
    expect(await failed).toMatchObject({ status: 502 })
    const served = send(e.port)
    await until(() => bad.accepted() === 2 && e.balancer.snapshot().backends[0]!.inFlight === 0)
    lease.done({ result: 'ok' })
    expect(await served).toMatchObject({ status: 200 })
    const [one, two] = await e.completed(2)
    expect(one!.lb).toMatchObject({ result: 'backend-reset', attempts: [{ result: 'backend-reset' }] })
    expect(two!.lb.attempts.map(({ result }) => result)).toEqual(['backend-reset', 'ok'])
  })
})

describe('together with other attempts', () => {
  it('a response that was set aside is the answer where a retry waits in vain, or is refused at the close', async () => {
    for (const end of ['deadline', 'close']) {
      const clock = fakeClock()
      const busy = await answering((response) => response.writeHead(503).end('busy'))
      const full = await answering()
      const queue = { timeoutMs: 500 }
      const e = await edge([busy, bounded(full, 1)], { clock, queue, retry: { statuses: [503] } })
      const ids = e.balancer.snapshot().backends.map(({ id }) => id)
      const ops = e.balancer.as({ id: 'ops', type: 'user' })
      await ops.setWeight(ids[0]!, 0)
      const lease = e.balancer.pick()
      await ops.setWeight(ids[0]!, 1)
      const reply = send(e.port)
      await until(() => busy.seen.length === 1 && e.balancer.snapshot().backends[0]!.inFlight === 0)
      const closed = end === 'close' ? e.balancer.close() : clock.advance(500)
      expect(await reply).toMatchObject({ status: 503, body: 'busy' })
      lease.done({ result: 'ok' })
      await closed
      expect(e.completions()[0]!.lb).toMatchObject({
        result: 'ok',
        attempts: [{ status_code: 503, result: 'ok' }],
        retry_denied: end === 'close' ? 'closing' : 'no-backend',
      })
      expect(full.seen).toEqual([])
    }
  })

  it('a hedge does not wait', async () => {
    const clock = fakeClock()
    const [slow, full] = [await holding(), await answering()]
    const e = await edge([slow, bounded(full, 1)], { clock, hedge: { delayMs: 100 }, queue: { timeoutMs: 60_000 } })
    const ids = e.balancer.snapshot().backends.map(({ id }) => id)
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    await ops.setWeight(ids[0]!, 0)
    const lease = e.balancer.pick()
    await ops.setWeight(ids[0]!, 1)
    const reply = send(e.port)
    await until(() => slow.held.length === 1)
    clock.advance(100)
    lease.done({ result: 'ok' })
    slow.held[0]!.answer()
    expect((await reply).status).toBe(200)
    expect(full.seen).toEqual([])
    expect((await e.completed(1))[0]!.lb).toMatchObject({ attempts: [{ result: 'ok' }], timing: { queue_us: 0 } })
  })

  it('retries that have waited keep within the budget too', async () => {
    const [bad, full] = [await rawBackend(() => undefined), await holding()]
    const e = await edge([bounded(bad, 30), bounded(full, 1)], {
      queue: { timeoutMs: 60_000 },
      health: { passive: false },
      retry: { budget: { percent: 0, minPerSecond: 1 } },
      clock: fakeClock(),
    })
    const replies = []
    for (let i = 0; i < 31; i++) replies.push((await next(e, '/')).reply)
    await until(() => bad.accepted() === 30 && full.held.length === 1)
    for (const socket of bad.sockets) socket.destroy()
    await until(() => e.balancer.snapshot().backends[0]!.inFlight === 0)
    for (let done = 0; done < 11; done++) {
      await until(() => full.held.length === 1)
      full.held[0]!.answer()
    }
    const statuses = (await Promise.all(replies)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(11)
    const all = (await e.completed(31)).map(({ lb }) => lb)
    expect(all.filter(({ attempts }) => attempts.length === 2)).toHaveLength(10)
    expect(all.filter(({ result, retry_denied }) => result !== 'ok' && retry_denied === 'budget')).toHaveLength(20)
  })

  it('a retry that waits is not hedged, and may be once it runs', async () => {
    const clock = fakeClock()
    const [bad, full, idle] = [await silent('fin'), await holding(), await answering()]
    const e = await edge([bad, bounded(full, 1), idle], {
      clock,
      hedge: { delayMs: 100 },
      queue: { timeoutMs: 60_000 },
    })
    const ids = e.balancer.snapshot().backends.map(({ id }) => id)
    const ops = e.balancer.as({ id: 'ops', type: 'user' })
    await ops.drain(ids[2]!)
    await ops.setWeight(ids[0]!, 0)
    const lease = e.balancer.pick()
    await ops.setWeight(ids[0]!, 1)
    const reply = send(e.port)
    await until(() => bad.accepted() === 1 && e.balancer.snapshot().backends[0]!.inFlight === 0)
    clock.advance(100)
    lease.done({ result: 'ok' })
    await until(() => full.held.length === 1)
    await ops.undrain(ids[2]!)
    clock.advance(100)
    expect((await reply).status).toBe(200)
    const [one] = await e.completed(1)
    expect(one!.lb.attempts.map(({ result, hedge }) => [result, hedge])).toEqual([
      ['backend-reset', undefined],
      ['hedge-lost', undefined],
      ['ok', true],
    ])
  })

  it('the time of the whole request goes on while it waits', async () => {
    const clock = fakeClock()
    const backend = await answering()
    const timeouts = { totalMs: 300 }
    const e = await edge([bounded(backend, 1)], { clock, timeouts, queue: { timeoutMs: 1000 } })
    const lease = e.balancer.pick()
    const late = (await next(e, '/late')).reply
    clock.advance(300)
    expect((await late).status).toBe(504)
    await until(() => e.completions().length === 1)
    expect(e.completions()[0]!.lb).toMatchObject({
      result: 'total-timeout',
      attempts: [],
      timing: { queue_us: 300_000 },
    })
    lease.done({ result: 'ok' })
    expect((await send(e.port)).status).toBe(200)
    expect(backend.seen).toHaveLength(1)
  })
})

describe('what makes room', () => {
  const cases: [string, (e: Edge, ids: readonly string[], other: string) => Promise<unknown>][] = [
    ['a backend that joins', (e, _, other) => ops(e).addBackend({ id: 'c', url: other })],
    ['a backend that is drained no more', (e, [, id]) => ops(e).undrain(id!)],
    ['a weight that is 0 no more', (e, [, , id]) => ops(e).setWeight(id!, 3)],
    [
      'a higher limit',
      (e, [id], other) =>
        ops(e).update({ backends: [{ id: id!, url: e.balancer.snapshot().backends[0]!.url, maxInFlight: 2 }, other] }),
    ],
  ]
  const ops = (e: Edge) => e.balancer.as({ id: 'ops', type: 'user' })

  it.each(cases)('is %s', async (_, change) => {
    const [full, drained, unweighted, other] = [
      await holding(),
      await answering(),
      await answering(),
      await answering(),
    ]
    const e = await edge([bounded(full, 1), drained, { url: unweighted.url, options: { weight: 0 } }], {
      queue: { timeoutMs: 60_000 },
    })
    const ids = e.balancer.snapshot().backends.map(({ id }) => id)
    await ops(e).drain(ids[1]!)
    const first = (await next(e, '/first')).reply
    await until(() => full.held.length === 1)
    const waits = (await next(e, '/waits')).reply
    await change(e, ids, other.url)
    await until(() => full.held.length === 2 || drained.seen.length + unweighted.seen.length + other.seen.length === 1)
    for (const one of [...full.held]) one.answer()
    expect([(await first).status, (await waits).status]).toEqual([200, 200])
  })

  it('is a lease that is given back; a lease itself never waits', async () => {
    const backend = await answering()
    const e = await edge([bounded(backend, 1)], { queue: { timeoutMs: 60_000 } })
    const lease = e.balancer.pick()
    const waits = (await next(e, '/waits')).reply
    const none = e.balancer.pick()
    expect([none.backend, none.decision.excluded.map(({ reason }) => reason)]).toEqual([undefined, ['at-capacity']])
    lease.done({ result: 'ok' })
    // Who waits comes before a lease that is asked for in the same turn.
    expect(e.balancer.pick().backend).toBeUndefined()
    expect((await waits).status).toBe(200)
  })
})

it('without a limit nobody waits', async () => {
  const backend = await holding()
  const e = await edge([backend])
  const replies = Array.from({ length: 20 }, (_, i) => send(e.port, { path: `/${i}` }))
  await until(() => backend.held.length === 20)
  for (const one of [...backend.held]) one.answer()
  await Promise.all(replies)
  for (const { lb } of await e.completed(20)) expect(lb.timing.queue_us).toBe(0)
})
