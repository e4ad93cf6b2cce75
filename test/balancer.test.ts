// The balancer as a whole: start, snapshot and close.
import { expect, it } from 'vitest'
import { createAudit } from '../src/audit/create.ts'
import { createBalancer } from '../src/balancer.ts'
import { version } from '../src/version.ts'
import { answering, httpBackend } from './support/backends.ts'
import { edge } from './support/edge.ts'
import { collect, memoryStore } from './support/sinks.ts'
import { until } from './support/until.ts'
import { codeOf, watched } from './support/watched.ts'

it('records that it starts, is ready, drains and stops, with its revision', async () => {
  const kept = collect()
  const balancer = createBalancer({ name: 'edge', backends: ['http://a'], audit: { sinks: [kept] } })
  await balancer.ready()
  await balancer.close()
  const mine = kept.events().filter(({ event_name }) => event_name.startsWith('balancer.'))
  expect(mine.map(({ event_name }) => event_name)).toEqual([
    'balancer.started',
    'balancer.ready',
    'balancer.draining',
    'balancer.stopped',
  ])
  const { hash } = balancer.snapshot()
  expect(mine[0].balancer).toMatchObject({
    version,
    revision: 1,
    hash,
    config: { backends: { 'a:80': { url: 'http://a' } }, strategy: { name: 'power-of-two' } },
  })
  for (const { lb } of mine) expect(lb).toEqual({ pool: 'edge', config_revision: 1, config_hash: hash })
  expect(kept.events().at(-1).event_name).toBe('audit.closed')
})

it('works before it is ready', () => {
  const balancer = createBalancer({
    backends: ['http://a'],
    audit: { sinks: [memoryStore({ opening: () => new Promise(() => undefined) })] },
  })
  expect(balancer.pick().backend?.id).toBe('a:80')
})

it('tells its state', async () => {
  const w = watched({
    name: 'edge',
    backends: [
      { id: 'a', url: 'http://a', zone: 'eu', group: 'g', priority: 2, maxInFlight: 1 },
      { id: 'b', url: 'http://b', weight: 0 },
    ],
  })
  const lease = w.balancer.pick()
  expect(w.balancer.snapshot()).toEqual({
    name: 'edge',
    state: 'open',
    revision: 1,
    hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    strategy: 'power-of-two',
    inFlight: 1,
    waiting: 0,
    tunnels: 0,
    panic: false,
    backends: [
      {
        id: 'a',
        url: 'http://a',
        weight: 1,
        priority: 2,
        zone: 'eu',
        group: 'g',
        maxInFlight: 1,
        eligible: true,
        admin: 'ready',
        active: 'unknown',
        passive: 'ok',
        capacity: 'full',
        ramp: 1000,
        inFlight: 1,
        picks: 1,
        failures: 0,
      },
      {
        id: 'b',
        url: 'http://b',
        weight: 0,
        priority: 0,
        eligible: false,
        excluded: 'weight-zero',
        admin: 'ready',
        active: 'unknown',
        passive: 'ok',
        capacity: 'free',
        ramp: 1000,
        inFlight: 0,
        picks: 0,
        failures: 0,
      },
    ],
  })
  lease.done({ result: 'ok' })
})

it('close refuses what is new, lets finish what is in flight, and happens once', async () => {
  const answers: (() => void)[] = []
  const slow = await httpBackend((_, response) => void answers.push(() => response.end('late')))
  const e = await edge([slow])
  const get = () => fetch(`http://127.0.0.1:${e.port}/`)
  const early = get()
  await until(() => answers.length === 1)
  const closing = e.balancer.close()
  expect(e.balancer.close()).toBe(closing)
  expect(e.balancer.snapshot().state).toBe('closing')
  expect((await get()).status).toBe(503)
  answers[0]!()
  expect(await (await early).text()).toBe('late')
  expect((await closing).undelivered).toEqual({})
  expect(e.balancer.snapshot()).toMatchObject({ state: 'closed', inFlight: 0 })
})

it('close cuts off what is not done by its deadline, and records that', async () => {
  const hangs = await httpBackend(() => undefined)
  const e = await edge([hangs])
  const cut = fetch(`http://127.0.0.1:${e.port}/`).then(
    ({ status }) => status,
    () => 'cut',
  )
  await until(() => hangs.sockets.size === 1 && e.balancer.snapshot().inFlight === 1)
  await e.balancer.close({ deadlineMs: 30 })
  expect([502, 503, 'cut']).toContain(await cut)
  const stopped = e.events.find(({ event_name }) => event_name === 'balancer.stopped')
  expect(stopped).toMatchObject({ outcome: 'failure', balancer: { in_flight: 1 } })
})

it('two balancers do not share state', async () => {
  const backend = await answering()
  const [one, two] = [watched({ backends: [backend.url] }), watched({ backends: [backend.url] })]
  one.balancer.pick()
  await one.ops.setWeight(one.balancer.snapshot().backends[0]!.id, 0)
  expect(one.balancer.pick().backend).toBeUndefined()
  expect(two.balancer.snapshot()).toMatchObject({ revision: 1, inFlight: 0, backends: [{ weight: 1, picks: 0 }] })
})

it('a change after close is refused', async () => {
  const w = watched({ backends: ['http://a'] })
  await w.balancer.close()
  expect(await codeOf(w.ops.drain('a:80'))).toBe('closed')
})

it('a change after close is refused on a trail that goes on, and recorded as that', async () => {
  const kept = collect()
  const audit = createAudit({ sinks: [kept] })
  const balancer = createBalancer({ backends: ['http://a'], audit })
  const ops = balancer.as({ id: 'ops', type: 'user' })
  await balancer.ready()
  await balancer.close()
  const before = balancer.snapshot()
  expect(await codeOf(ops.setWeight('a:80', 5))).toBe('closed')
  expect(await codeOf(ops.update({ timeouts: { headerMs: 5 } }, { breakGlass: true }))).toBe('closed')
  expect(balancer.snapshot()).toEqual(before)
  await audit.close()
  const last = kept.events().filter(({ event_name }) => /^(balancer|config)/.test(event_name))
  expect(last.slice(-3).map(({ event_name, config }) => [event_name, config?.code])).toEqual([
    ['balancer.stopped', undefined],
    ['config.rejected', 'closed'],
    ['config.rejected', 'closed'],
  ])
})

it('a trail that was given to balancers is closed by whoever made it, and by none of them', async () => {
  const kept = collect()
  const audit = createAudit({ sinks: [kept] })
  const [one, two] = ['one', 'two'].map((name) => createBalancer({ name, backends: ['http://a'], audit }))
  await two!.ready()
  expect(await codeOf(one!.audit.close())).toBe('config-invalid')
  await two!.as({ id: 'ops', type: 'user' }).setWeight('a:80', 5)
  expect((await one!.close()).undelivered).toEqual({})
  await two!.close()
  expect(kept.events('audit.closed')).toEqual([])
  await audit.close()
  expect(kept.events('audit.closed')).toHaveLength(1)
  expect(kept.events('config.changed')).toHaveLength(1)
})

it("a trail of the balancer's own can be closed through it", async () => {
  const kept = collect()
  const balancer = createBalancer({ backends: ['http://a'], audit: { sinks: [kept] } })
  expect((await balancer.audit.close()).undelivered).toEqual({})
  expect(kept.events('audit.closed')).toHaveLength(1)
  await balancer.close()
})
