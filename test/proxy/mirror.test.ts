// Mirroring: a copy goes to the group, nobody waits for it, and whatever becomes of it is recorded and touches no client.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type MirrorConfig, Mirrors, mirrorSchema } from '../../src/proxy/mirror.ts'
import { Running } from '../../src/proxy/running.ts'
import { seededRandom } from '../../src/random.ts'
import type { AttemptHandler, AttemptRequest, Transport } from '../../src/transport.ts'
import { answering, httpBackend, refusing, silent } from '../support/backends.ts'
import { type Edge, edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { statesOf } from '../support/pool.ts'
import { rawClient, send, valuesOf } from '../support/raw-client.ts'
import { until } from '../support/until.ts'

type Options = NonNullable<Parameters<typeof edge>[1]>

async function mirrored(shadow: { url: string }, given: Partial<MirrorConfig> = {}, options: Options = {}) {
  const primary = await answering((response, request) => response.end(`primary ${request.method}`))
  const mirror = { group: 'shadow', percent: 100, ...given }
  const e = await edge([primary, { url: shadow.url, options: { id: 'shadow', group: 'shadow' } }], {
    mirror,
    ...options,
  })
  return { ...e, primary, mirrors: () => mirrorsOf(e), shadow: () => e.balancer.snapshot().backends[1]! }
}
const mirrorsOf = ({ events }: Edge) => events.filter((event) => event.event_name === 'request.mirrored')

it('sends a copy, marked as one, and records what became of it', async () => {
  const shadow = await answering((response) => response.writeHead(418).end('dropped'))
  const e = await mirrored(shadow)
  const reply = await send(e.port, { path: '/a?b=c', headers: ['X-Mirrored', 'no', 'X-Thing', '1'] })
  expect(reply).toMatchObject({ status: 200, body: 'primary GET' })
  await until(() => e.mirrors().length === 1)
  const [copy, original] = [shadow.seen[0]!, e.primary.seen[0]!]
  expect(copy).toMatchObject({ method: 'GET', url: '/a?b=c', body: '' })
  expect([valuesOf(original.rawHeaders, 'x-mirrored'), valuesOf(copy.rawHeaders, 'x-mirrored')]).toEqual([[], ['1']])
  expect([...original.rawHeaders, 'x-mirrored', '1']).toEqual(copy.rawHeaders)
  const { lb } = await e.one()
  expect(e.mirrors()[0]).toMatchObject({
    outcome: 'success',
    lb: {
      request_id: lb.request_id,
      backend: 'shadow',
      result: 'ok',
      status_code: 418,
      pool: 'balancer',
      config_revision: 1,
    },
  })
  expect(e.shadow()).toMatchObject({ inFlight: 0, picks: 1, failures: 0, excluded: 'mirror-only' })
})

it('gives the mirrors no other traffic', async () => {
  const shadow = await answering()
  const e = await mirrored(shadow, { percent: 0 })
  for (let i = 0; i < 5; i++) expect((await send(e.port)).status).toBe(200)
  await e.balancer.as({ id: 'ops', type: 'user' }).setWeight(`127.0.0.1:${e.primary.port}`, 0)
  expect((await send(e.port)).status).toBe(503)
  expect([shadow.seen, e.mirrors()]).toEqual([[], []])
})

it('takes turns among the mirrors that are eligible and have room', async () => {
  const seen: string[] = []
  const shadow = (name: string) =>
    answering((response) => {
      seen.push(name)
      response.end()
    })
  const [primary, ...shadows] = [await answering(), await shadow('a'), await shadow('b'), await shadow('c')]
  const e = await edge(
    [primary, ...shadows.map(({ url }, i) => ({ url, options: { id: 'abc'[i]!, group: 'shadow' } }))],
    { mirror: { group: 'shadow', percent: 100 } },
  )
  const copies = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const before = mirrorsOf(e).length
      await send(e.port)
      await until(() => mirrorsOf(e).length > before)
    }
  }
  await copies(4)
  expect(seen).toEqual(['a', 'b', 'c', 'a'])
  await e.balancer.as({ id: 'ops', type: 'user' }).drain('b')
  await copies(2)
  expect(seen.slice(4)).toEqual(['c', 'a'])
})

/** Copies without a network: what a transport is asked for, and how its attempts can go on. */
function alone(given: Partial<MirrorConfig> = {}) {
  const clock = fakeClock()
  const sent: { request: AttemptRequest; handler: AttemptHandler; cancelled: boolean }[] = []
  const told: unknown[] = []
  const config = mirrorSchema.parse({ group: 'shadow', percent: 100, ...given })
  const [backend] = statesOf(1) as [BackendState]
  const transport: Transport = {
    name: 'held',
    send(request, handler) {
      const one = { request, handler, cancelled: false }
      sent.push(one)
      return () => {
        one.cancelled = true
      }
    },
    forget: () => undefined,
    isIdle: true,
    close: async () => undefined,
  }
  const mirrors = new Mirrors({
    clock,
    random: seededRandom(5),
    emit: (_, fields) => {
      told.push((fields as { lb: unknown }).lb)
      return { log: 'traffic', index: undefined }
    },
    levelOf: undefined,
    stamp: () => ({ config_hash: '', config_revision: 1, pool: 'edge' }),
    config: () => config,
    pick: () => backend,
    take: () => void backend.inFlight++,
    release: () => void backend.inFlight--,
    transport: () => transport,
    running: new Running(),
  })
  const copy = () =>
    mirrors.copy({
      requestId: 'r',
      view: {},
      length: 0,
      given: undefined,
      requestFor: ({ config: at }, body) => ({
        backend: at,
        method: 'GET',
        path: '/',
        headers: [],
        body,
        repeatable: true,
      }),
    })
  return { mirrors, clock, sent, told, copy, backend }
}

it.each([
  // Each within 4 standard deviations of what is expected of 200,000 draws: 99.99 %.
  [0, 0, 0],
  [0.005, 10, 13],
  [12.5, 25_000, 592],
  [100, 200_000, 0],
])('draws %d %% of the requests', (percent, expected, margin) => {
  const { mirrors } = alone({ percent })
  let drawn = 0
  for (let i = 0; i < 200_000; i++) if (mirrors.draws()) drawn++
  expect(Math.abs(drawn - expected)).toBeLessThanOrEqual(margin)
})

it('tells apart whether the head or the rest of a response was late', async () => {
  for (const result of ['header-timeout', 'body-timeout']) {
    const { clock, sent, told, copy, backend } = alone({ timeoutMs: 1000 })
    copy()
    await Promise.resolve()
    if (result === 'body-timeout') sent[0]!.handler.onResponse(200, '', [], () => undefined)
    expect([backend.inFlight, sent[0]!.request.headers]).toEqual([1, ['x-mirrored', '1']])
    clock.advance(1000)
    expect(told).toMatchObject([{ result, duration_us: 1_000_000 }])
    expect([backend.inFlight, sent[0]!.cancelled, clock.timers]).toEqual([0, true, 0])
  }
})

it.each([0.0001, -1, 101, Number.NaN, '5'])('takes no percentage of %s', (percent) => {
  expect(mirrorSchema.safeParse({ group: 'shadow', percent }).success).toBe(false)
})

describe('a body', () => {
  for (const [name, headers] of [
    ['with a length', []],
    ['in chunks', ['Transfer-Encoding', 'chunked']],
  ] as const) {
    it(`${name} is copied whole`, async () => {
      const shadow = await answering()
      const e = await mirrored(shadow)
      const body = 'x'.repeat(40_000)
      expect((await send(e.port, { method: 'POST', headers, body })).body).toBe('primary POST')
      await until(() => e.mirrors().length === 1)
      expect(shadow.seen[0]).toMatchObject({ method: 'POST', body })
      expect(e.primary.seen[0]!.body).toBe(body)
    })

    it(`${name} that is too large is not copied`, async () => {
      const shadow = await answering()
      const e = await mirrored(shadow, { bodyBytes: 1000 })
      const exact = 'y'.repeat(1000)
      for (const body of [`${exact}y`, exact]) await send(e.port, { method: 'POST', headers, body })
      await until(() => e.mirrors().length === 2)
      expect(
        e
          .mirrors()
          .map(({ lb }) => lb)
          .find(({ skipped }) => skipped !== undefined),
      ).toMatchObject({
        skipped: 'body-too-large',
        request_id: expect.any(String),
      })
      expect(shadow.seen.map(({ body }) => body)).toEqual([exact])
      expect(e.primary.seen.map(({ body }) => body.length)).toEqual([1001, 1000])
    })
  }

  it('streams to the backend at once; the copy waits until it is whole', async () => {
    const parts: string[] = []
    const primary = await httpBackend((request, response) => {
      request.on('data', (chunk: Buffer) => void parts.push(String(chunk)))
      request.on('end', () => response.end('ok'))
    })
    const shadow = await answering()
    const e = await edge([primary, { url: shadow.url, options: { group: 'shadow' } }], {
      mirror: { group: 'shadow', percent: 100 },
    })
    const client = await rawClient(e.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
    await until(() => parts.join('') === 'ab')
    expect(shadow.accepted()).toBe(0)
    client.write('cd')
    await client.has('ok')
    await until(() => mirrorsOf(e).length === 1)
    expect(shadow.seen[0]!.body).toBe('abcd')
  })

  it('is copied once, however often the request is sent on', async () => {
    const shadow = await answering()
    const bad = await silent('fin')
    const good = await answering()
    const mirror = { group: 'shadow', percent: 100 }
    const e = await edge([bad, good, { url: shadow.url, options: { group: 'shadow' } }], { mirror })
    expect((await send(e.port, { method: 'PUT', body: 'thing' })).status).toBe(200)
    await until(() => mirrorsOf(e).length === 1)
    expect((await e.one()).lb.attempts).toHaveLength(2)
    expect([shadow.seen.map(({ body }) => body), good.seen.map(({ body }) => body)]).toEqual([['thing'], ['thing']])
  })

  it('that never becomes whole is not copied', async () => {
    const shadow = await answering()
    const e = await mirrored(shadow)
    const client = await rawClient(e.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab')
    await until(() => e.primary.seen.length === 1)
    client.socket.resetAndDestroy()
    await until(() => e.mirrors().length === 1)
    expect(e.mirrors()[0]!.lb).toMatchObject({ skipped: 'body-incomplete' })
    expect(shadow.accepted()).toBe(0)
  })
})

describe('what becomes of a copy touches no client', () => {
  for (const [name, bad, result] of [
    ['refuses', () => refusing(), 'connect-refused'],
    ['resets', () => silent('reset'), 'backend-reset'],
  ] as const) {
    it(`when the mirror ${name}; its health learns from it`, async () => {
      const e = await mirrored(await bad(), {}, { health: { passive: { failures: 3 } } })
      for (let i = 0; i < 3; i++) {
        expect((await send(e.port)).status).toBe(200)
        await until(() => e.mirrors().length === i + 1)
      }
      for (const { lb, outcome } of e.mirrors()) expect([lb.result, outcome]).toEqual([result, 'failure'])
      expect(e.shadow()).toMatchObject({ failures: 3, inFlight: 0 })
    })
  }

  it('when the mirror hangs: it is broken off in time, and further ones are skipped while too many are open', async () => {
    const clock = fakeClock()
    const hangs = await httpBackend(() => undefined)
    const e = await mirrored(hangs, { max: 2, timeoutMs: 3000 }, { clock })
    for (let i = 0; i < 4; i++) expect((await send(e.port)).status).toBe(200)
    await until(() => hangs.sockets.size === 2)
    expect(e.mirrors().map(({ lb }) => lb.skipped)).toEqual(['busy', 'busy'])
    expect(e.shadow().inFlight).toBe(2)
    clock.advance(2999)
    expect(e.mirrors()).toHaveLength(2)
    clock.advance(1)
    for (const { lb } of e.mirrors().slice(2))
      expect(lb).toMatchObject({ result: 'header-timeout', backend: 'shadow', duration_us: 3_000_000 })
    expect(e.shadow()).toMatchObject({ inFlight: 0, failures: 2 })
    await until(() => hangs.sockets.size === 0)
    expect((await send(e.port)).status).toBe(200)
    await until(() => e.shadow().inFlight === 1)
  })

  it('when there is no mirror', async () => {
    const e = await mirrored(await answering(), { group: 'nobody' })
    expect((await send(e.port)).status).toBe(200)
    await until(() => e.mirrors().length === 1)
    expect(e.mirrors()[0]).toMatchObject({ outcome: 'unknown', lb: { skipped: 'no-backend' } })
  })

  it('and the client has its answer while the copy is still open', async () => {
    const held: (() => void)[] = []
    const slow = await httpBackend((_, response) => void held.push(() => response.end()))
    const e = await mirrored(slow)
    expect((await send(e.port)).status).toBe(200)
    await until(() => held.length === 1 && e.completions().length === 1)
    expect([e.completions()[0]!.lb.result, e.mirrors().length, e.shadow().inFlight]).toEqual(['ok', 0, 1])
    held[0]!()
    await until(() => e.mirrors().length === 1)
  })
})

it('close does not wait for copies: it breaks them off', async () => {
  const hangs = await httpBackend(() => undefined)
  const e = await mirrored(hangs, {}, { clock: fakeClock() })
  await send(e.port)
  await until(() => hangs.sockets.size === 1)
  // The clock stands still: no deadline is ever reached.
  await e.balancer.close()
  expect(e.mirrors().map(({ lb }) => lb.result)).toEqual(['closing'])
  expect(e.events.at(-1)!.event_name).toMatch(/^(audit.closed|balancer.stopped)$/)
  expect(e.shadow()).toMatchObject({ inFlight: 0, failures: 0 })
})

it('a mirror that is disabled loses its copies', async () => {
  const hangs = await httpBackend(() => undefined)
  const e = await mirrored(hangs)
  await send(e.port)
  await until(() => hangs.sockets.size === 1)
  await e.balancer.as({ id: 'ops', type: 'user' }).disable('shadow', { wait: true })
  expect(e.mirrors().map(({ lb }) => lb.result)).toEqual(['drain-deadline'])
})

it('can be switched on and off while traffic flows', async () => {
  const shadow = await answering()
  const e = await mirrored(shadow, {}, { mirror: false })
  const ops = e.balancer.as({ id: 'ops', type: 'user' })
  expect(e.balancer.snapshot().backends.every(({ eligible }) => eligible)).toBe(true)
  await ops.update({ mirror: { group: 'shadow', percent: 100 } })
  await send(e.port)
  await until(() => e.mirrors().length === 1)
  await ops.update({ mirror: false })
  await ops.drain('shadow')
  await send(e.port)
  await e.completed(2)
  expect([e.mirrors().length, shadow.seen.length]).toEqual([1, 1])
})
