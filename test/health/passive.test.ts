// Passive ejection, on a clock that the test moves.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type BackendState, hasRoom } from '../../src/backend.ts'
import { createBalancer } from '../../src/balancer.ts'
import { passiveSchema } from '../../src/health/passive.ts'
import { HealthWatch } from '../../src/health/watch.ts'
import type { AttemptResult } from '../../src/outcome.ts'
import { seededRandom } from '../../src/random.ts'
import { dialling } from '../support/dialling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { statesOf } from '../support/pool.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

type Passive = NonNullable<Parameters<typeof watched>[0]['health']>['passive']

const short: Passive = { failures: 3, ejectionMs: 100, maxEjectionMs: 350 }

function pool(passive: Passive | 'default' = short, names = ['a', 'b']) {
  const clock = fakeClock()
  const w = watched({
    backends: names.map((id) => ({ id, url: `http://${id}` })),
    strategy: 'round-robin',
    health: passive === 'default' ? {} : { passive },
    clock,
    audit: { clock },
  })
  const state = (id: string) => w.balancer.snapshot().backends.find((backend) => backend.id === id)!
  return {
    ...w,
    clock,
    state,
    /** Leases of this backend that end so; the others that come by end well. */
    end(id: string, result: AttemptResult, times = 1, status?: number) {
      for (let n = 0; n < times; ) {
        const lease = w.balancer.pick()
        if (!state(id).eligible) throw new Error(`${id} gets no picks`)
        const meant = lease.backend?.id === id
        if (meant) n++
        lease.done(meant ? { result, ...(status === undefined ? {} : { status }) } : { result: 'client-gone' })
      }
    },
    changes: () => w.of('backend.health_changed').map(({ backend }) => backend),
  }
}

it('ejects after that many failures in a row, not before', () => {
  const p = pool()
  p.end('a', 'connect-refused', 2)
  p.end('a', 'ok')
  p.end('a', 'header-timeout', 2)
  expect(p.state('a').passive).toBe('ok')
  p.end('a', 'backend-reset')
  expect(p.state('a')).toMatchObject({ passive: 'ejected', eligible: false, excluded: 'ejected' })
  expect(p.changes()).toEqual([
    {
      id: 'a',
      axis: 'passive',
      from: 'ok',
      to: 'ejected',
      cause: 'consecutive-failures',
      failures: 3,
      successes: 0,
      threshold: 3,
      last_error: 'backend-reset',
    },
  ])
  expect(p.of('backend.health_changed')[0]).toMatchObject({ outcome: 'failure', severity: 13 })
})

it('the default is five, and on', () => {
  const p = pool('default')
  p.end('a', 'connect-refused', 4)
  expect(p.state('a').passive).toBe('ok')
  p.end('a', 'connect-refused')
  expect(p.state('a').passive).toBe('ejected')
})

it('counts statuses that are named, and nothing that is not the backend’s fault', () => {
  const p = pool({ failures: 2, statuses: [503] })
  p.end('a', 'ok', 9, 500)
  for (const result of ['client-gone', 'queue-full', 'queue-timeout', 'internal'] as const) p.end('a', result, 9)
  expect(p.state('a').passive).toBe('ok')
  p.end('a', 'ok', 2, 503)
  expect(p.changes()[0]).toMatchObject({ to: 'ejected', last_error: 'status 503' })
})

it('what the client broke off neither adds to the count nor clears it', () => {
  const p = pool()
  p.end('a', 'connect-refused', 2)
  p.end('a', 'client-gone', 3)
  p.end('a', 'connect-refused')
  expect(p.state('a').passive).toBe('ejected')
})

it('never ejects the last one that is eligible', () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.end('b', 'connect-refused', 50)
  expect(p.state('b').passive).toBe('ok')
  // One on trial serves but one request at a time: the other is still the last.
  p.clock.advance(100)
  p.end('b', 'connect-refused')
  expect(p.state('b').passive).toBe('ok')
  p.end('a', 'ok')
  p.end('b', 'connect-refused')
  expect(p.state('b').passive).toBe('ejected')
})

it('may eject one that is out for another reason', async () => {
  const p = pool()
  const leases = Array.from({ length: 6 }, () => p.balancer.pick()).filter(({ backend }) => backend!.id === 'a')
  await p.ops.drain('a')
  for (const lease of leases) lease.done({ result: 'backend-cut' })
  expect(p.state('a')).toMatchObject({ passive: 'ejected', admin: 'draining', excluded: 'draining' })
})

it('goes on trial after its time; a failure there ejects it for twice as long, up to the longest', () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  for (const ms of [100, 200, 350, 350]) {
    p.clock.advance(ms - 1)
    expect(p.state('a').passive).toBe('ejected')
    p.clock.advance(1)
    expect(p.state('a')).toMatchObject({ passive: 'trial', eligible: true })
    expect(p.changes().at(-1)).toMatchObject({
      from: 'ejected',
      to: 'trial',
      cause: 'ejection-over',
      downtime_us: ms * 1000,
    })
    p.end('a', 'header-timeout')
    expect(p.changes().at(-1)).toMatchObject({
      from: 'trial',
      to: 'ejected',
      cause: 'trial-failed',
      threshold: 1,
      last_error: 'header-timeout',
    })
  }
  expect(p.changes()).toHaveLength(9)
})

it('a success on trial brings it back, with no failure to its name', () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.clock.advance(100)
  p.end('a', 'connect-refused')
  p.clock.advance(200)
  p.end('a', 'ok')
  expect(p.state('a').passive).toBe('ok')
  expect(p.changes().at(-1)).toEqual({
    id: 'a',
    axis: 'passive',
    from: 'trial',
    to: 'ok',
    cause: 'trial-passed',
    failures: 0,
    successes: 1,
    threshold: 1,
    downtime_us: 300_000,
  })
  p.end('a', 'connect-refused', 2)
  expect(p.state('a').passive).toBe('ok')
  p.end('a', 'connect-refused')
  expect(p.state('a').passive).toBe('ejected')
})

it('the time goes on growing after a trial that went well, until it has been in service for the longest one', () => {
  const p = pool()
  const lengths = [100, 200, 350]
  for (const [i, ms] of lengths.entries()) {
    p.end('a', 'connect-refused', 3)
    p.clock.advance(ms - 1)
    expect(p.state('a').passive).toBe('ejected')
    p.clock.advance(1)
    p.end('a', 'ok')
    expect(p.state('a').passive).toBe('ok')
    p.clock.advance(i === lengths.length - 1 ? 350 : 349)
  }
  p.end('a', 'connect-refused', 3)
  p.clock.advance(100)
  expect(p.state('a').passive).toBe('trial')
})

it('what says nothing of the backend leaves it on trial', () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.clock.advance(100)
  for (const result of ['client-gone', 'queue-full', 'queue-timeout', 'internal'] as const) p.end('a', result, 2)
  expect(p.state('a').passive).toBe('trial')
  p.end('a', 'ok')
  expect(p.state('a').passive).toBe('ok')
})

it('results of requests from before the trial do not decide it, nor count after it', () => {
  const p = pool()
  const early = Array.from({ length: 40 }, () => p.balancer.pick()).filter(({ backend }) => backend!.id === 'a')
  p.clock.advance(1)
  p.end('a', 'connect-refused', 3)
  p.clock.advance(100)
  for (const [i, lease] of early.splice(0, 10).entries()) lease.done({ result: i % 2 ? 'ok' : 'header-timeout' })
  expect(p.state('a').passive).toBe('trial')
  p.end('a', 'ok')
  for (const lease of early) lease.done({ result: 'header-timeout' })
  expect(p.state('a').passive).toBe('ok')
  expect(p.changes()).toHaveLength(3)
})

it('results of requests from before the ejection neither end nor lengthen it', () => {
  const p = pool()
  const early = Array.from({ length: 20 }, () => p.balancer.pick()).filter(({ backend }) => backend!.id === 'a')
  p.end('a', 'connect-refused', 3)
  for (const [i, lease] of early.entries()) lease.done({ result: i % 2 === 0 ? 'connect-refused' : 'ok' })
  expect(p.changes()).toHaveLength(1)
  p.clock.advance(100)
  expect(p.state('a').passive).toBe('trial')
  expect(p.changes()).toHaveLength(2)
})

it('one on trial is back at once when ejection is switched off', async () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.clock.advance(150)
  await p.ops.update({ health: { passive: false } })
  expect(p.changes().at(-1)).toMatchObject({ from: 'trial', to: 'ok', cause: 'ejection-off', downtime_us: 150_000 })
})

it('is off by `false`; switching it off brings back who was out', async () => {
  const off = pool(false)
  off.end('a', 'connect-refused', 50)
  expect(off.changes()).toEqual([])
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.clock.advance(40)
  await p.ops.update({ health: { passive: false } })
  expect(p.state('a')).toMatchObject({ passive: 'ok', eligible: true })
  expect(p.changes().at(-1)).toMatchObject({ from: 'ejected', to: 'ok', cause: 'ejection-off', downtime_us: 40_000 })
  p.clock.advance(1000)
  expect(p.changes()).toHaveLength(2)
})

it.each([500, 502, 503, 504])('while it is off a %i counts as a failure all the same', (status) => {
  const off = pool(false)
  off.end('a', 'ok', 3, status)
  off.end('a', 'ok', 2, 501)
  expect(off.state('a').failures).toBe(3)
  expect(off.state('b').failures).toBe(0)
})

it('while it is off the statuses are the default ones, whatever they were before', async () => {
  const p = pool({ statuses: [418] })
  p.end('a', 'ok', 1, 418)
  p.end('a', 'ok', 1, 503)
  expect(p.state('a').failures).toBe(1)
  await p.ops.update({ health: { passive: false } })
  p.end('a', 'ok', 1, 418)
  p.end('a', 'ok', 1, 503)
  expect(p.state('a').failures).toBe(2)
})

it('while it is off peak-ewma does not take a fast 503 for fast', () => {
  const clock = fakeClock()
  const { balancer } = watched({
    backends: ['http://a', 'http://b', 'http://c'],
    strategy: 'peak-ewma',
    health: { passive: false },
    clock,
    random: seededRandom(5),
    audit: { clock },
  })
  const picked: (string | undefined)[] = []
  for (let i = 0; i < 300; i++) {
    const { backend, done } = balancer.pick()
    picked.push(backend?.id)
    const fails = backend?.id === 'a:80'
    done({ result: 'ok', status: fails ? 503 : 200, latencyUs: fails ? 20 : 1000 })
    clock.advance(1)
  }
  // From its first failure on, for 300 ms of the 85 s that this takes to fade.
  expect(picked.filter((id) => id === 'a:80')).toHaveLength(1)
})

it('survives a change of weight and order, and is forgotten with its backend', async () => {
  const p = pool({ failures: 3, ejectionMs: 100 }, ['a', 'b', 'c'])
  p.end('a', 'connect-refused', 3)
  await p.ops.setWeight('a', 5)
  await p.ops.update({
    backends: [
      { id: 'c', url: 'http://c' },
      { id: 'a', url: 'http://a' },
      { id: 'b', url: 'http://b' },
    ],
  })
  expect(p.state('a').passive).toBe('ejected')
  await p.ops.remove('a')
  await p.ops.addBackend({ id: 'a', url: 'http://a' })
  expect(p.state('a')).toMatchObject({ passive: 'ok', picks: 0 })
  p.clock.advance(1000)
  expect(p.changes().filter(({ axis }) => axis === 'passive')).toHaveLength(1)
})

it('the axes are independent: each has its own state and events', async () => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  await p.ops.drain('a')
  expect(p.state('a')).toMatchObject({ admin: 'draining', passive: 'ejected', active: 'unknown', excluded: 'draining' })
  p.clock.advance(100)
  expect(p.state('a')).toMatchObject({ admin: 'draining', passive: 'trial', eligible: false })
  await p.ops.undrain('a')
  expect(p.state('a').eligible).toBe(true)
  expect(p.changes().map(({ axis, from, to, cause }) => [axis, from, to, cause])).toEqual([
    ['passive', 'ok', 'ejected', 'consecutive-failures'],
    ['admin', 'ready', 'draining', 'operator'],
    ['passive', 'ejected', 'trial', 'ejection-over'],
    ['admin', 'draining', 'ready', 'operator'],
  ])
})

it.each<[string, (p: ReturnType<typeof pool>) => Promise<number>]>([
  ['is drained', ({ ops }) => ops.drain('b')],
  ['is removed', ({ ops }) => ops.remove('b')],
  ['gets weight 0', ({ ops }) => ops.setWeight('b', 0)],
  ['is replaced by nobody', ({ ops }) => ops.update({ backends: [{ id: 'a', url: 'http://a' }] })],
])('brings the ejected one back when the last other one %s', async (_, change) => {
  const p = pool()
  p.end('a', 'connect-refused', 3)
  p.clock.advance(40)
  await change(p)
  expect(p.state('a')).toMatchObject({ passive: 'ok', eligible: true })
  expect(p.balancer.pick().backend?.id).toBe('a')
  expect(p.changes().at(-1)).toEqual({
    id: 'a',
    axis: 'passive',
    from: 'ejected',
    to: 'ok',
    cause: 'last-eligible',
    failures: 3,
    successes: 0,
    downtime_us: 40_000,
  })
  const count = p.changes().length
  p.clock.advance(1000)
  expect(p.changes()).toHaveLength(count)
})

it('of several that are out it brings back the longest out of those that could serve, and that one only', async () => {
  const p = pool({ ...short, maxEjectedPercent: 100 }, ['a', 'b', 'c', 'd'])
  for (const id of ['a', 'b', 'c']) {
    p.end(id, 'connect-refused', 3)
    p.clock.advance(10)
  }
  await p.ops.drain('a')
  await p.ops.drain('d')
  expect(['a', 'b', 'c', 'd'].map((id) => p.state(id).passive)).toEqual(['ejected', 'ok', 'ejected', 'ok'])
  expect(p.balancer.pick().decision).toMatchObject({ backend: 'b', candidates: 1 })
  // It was let in because there was no other: once there is, one more failure puts it out again.
  await p.ops.undrain('d')
  p.end('b', 'connect-refused')
  expect(p.changes().at(-1)).toMatchObject({ id: 'b', from: 'ok', to: 'ejected' })
})

it('everything can be drained, also while some are ejected', async () => {
  const p = pool(short, ['a', 'b', 'c'])
  p.end('a', 'connect-refused', 3)
  for (const id of ['a', 'b', 'c']) await p.ops.drain(id)
  expect(p.state('a')).toMatchObject({ admin: 'draining', passive: 'ejected' })
  expect(p.balancer.pick().backend).toBeUndefined()
  await p.ops.undrain('a')
  expect(p.balancer.pick().backend?.id).toBe('a')
  await p.ops.drain('a')
  expect(p.balancer.pick().backend).toBeUndefined()
  expect(p.changes().filter(({ cause }) => cause === 'last-eligible')).toHaveLength(1)
})

it('of one on trial and one ejected, the one on trial comes back', async () => {
  const p = pool({ ...short, maxEjectedPercent: 100 }, ['a', 'b', 'c'])
  p.end('a', 'connect-refused', 3)
  p.clock.advance(100)
  p.end('a', 'connect-refused')
  p.clock.advance(150)
  p.end('b', 'connect-refused', 3)
  p.clock.advance(50)
  expect([p.state('a').passive, p.state('b').passive]).toEqual(['trial', 'ejected'])
  await p.ops.drain('c')
  expect([p.state('a').passive, p.state('b').passive]).toEqual(['ok', 'ejected'])
  expect(p.changes().at(-1)).toMatchObject({ from: 'trial', to: 'ok', cause: 'last-eligible', downtime_us: 300_000 })
})

it.each([
  [2, 1, 1],
  [2, 50, 1],
  [2, 100, 1],
  [3, 50, 1],
  [3, 67, 2],
  [4, 50, 2],
  [5, 40, 2],
  [5, 39, 1],
  [10, 40, 4],
  [10, 100, 9],
])('of %i backends, of whom %i percent may be out, at most %i are', (count, maxEjectedPercent, most) => {
  const names = Array.from({ length: count }, (_, i) => `b${i}`)
  const p = pool({ failures: 1, ejectionMs: 1000, maxEjectedPercent }, names)
  for (let i = 0; i < 60; i++) p.balancer.pick().done({ result: 'connect-refused' })
  expect(names.filter((id) => p.state(id).passive === 'ejected')).toHaveLength(most)
  p.clock.advance(1000)
  // Those on trial count as out, so that the cap holds when it goes badly.
  for (let i = 0; i < 60; i++) p.balancer.pick().done({ result: 'connect-refused' })
  expect(names.filter((id) => p.state(id).passive === 'ejected')).toHaveLength(most)
})

it('brings the longest out back when the pool shrinks and more are out than may be', async () => {
  const p = pool({ failures: 1, ejectionMs: 1000 }, ['a', 'b', 'c', 'd'])
  p.end('b', 'connect-refused')
  p.clock.advance(10)
  p.end('a', 'connect-refused')
  await p.ops.drain('c')
  expect(p.state('b').passive).toBe('ok')
  expect(p.changes().at(-1)).toMatchObject({ id: 'b', from: 'ejected', to: 'ok', cause: 'ejection-cap' })
  expect(p.state('a').passive).toBe('ejected')
})

it('never ejects the last that is eligible, also where others are not for reasons that health does not know', () => {
  const [backend, ...others] = statesOf(1, 1, 1, 1) as [BackendState, ...BackendState[]]
  const clock = fakeClock()
  let elsewhere = 3
  let refreshed = 0
  const watch = new HealthWatch({
    dial: dialling,
    clock,
    random: seededRandom(1),
    eligible: () => 4 - elsewhere - (backend.passive === 'ejected' ? 1 : 0),
    refresh: () => void refreshed++,
    emit: () => ({}) as never,
  })
  const config = { passive: passiveSchema.parse({ failures: 1 }), record: 'summary' as const }
  watch.watch([backend, ...others], config)
  const fail = () => watch.observe(backend, { result: 'backend-reset', startUs: clock.monoUs(), latencyUs: 1 })
  fail()
  expect([backend.passive, refreshed]).toEqual(['ok', 0])
  elsewhere = 2
  fail()
  expect([backend.passive, refreshed]).toEqual(['ejected', 1])
  elsewhere = 3
  watch.watch([backend, ...others], config)
  expect(backend.passive).toBe('ok')
  watch.close()
})

it('what began before a trial does not take its room; what has lasted for the first ejection does no more', () => {
  const [backend, other] = statesOf(1, 1) as [BackendState, BackendState]
  const clock = fakeClock()
  const watch = new HealthWatch({
    dial: dialling,
    clock,
    random: seededRandom(1),
    eligible: () => [backend, other].filter(({ passive }) => passive !== 'ejected').length,
    refresh: () => undefined,
    emit: () => ({}) as never,
  })
  watch.watch([backend, other], { passive: passiveSchema.parse({ failures: 1, ejectionMs: 100 }), record: 'summary' })
  const take = () => {
    backend.inFlight++
    return clock.monoUs()
  }
  const release = (startUs: number, result: AttemptResult) => {
    watch.observe(backend, { result, startUs, latencyUs: 1 })
    backend.inFlight--
  }
  const early = [take(), take(), take()]
  clock.advance(1)
  release(take(), 'connect-refused')
  clock.advance(100)
  expect(backend.passive).toBe('trial')
  expect(hasRoom(backend)).toBe(true)
  const trial = take()
  expect(hasRoom(backend)).toBe(false)
  release(early.pop()!, 'client-gone')
  release(early.pop()!, 'ok')
  expect(hasRoom(backend)).toBe(false)
  clock.advance(100)
  expect(hasRoom(backend)).toBe(true)
  const second = take()
  expect(hasRoom(backend)).toBe(false)
  release(early.pop()!, 'ok')
  expect(hasRoom(backend)).toBe(false)
  release(second, 'client-gone')
  expect([backend.passive, hasRoom(backend)]).toEqual(['trial', true])
  release(trial, 'ok')
  expect([backend.passive, backend.inFlight, backend.stale]).toEqual(['ok', 0, 0])
  watch.close()
  expect(clock.timers).toBe(0)
})

it('whatever happens, nobody is out by ejection alone while nobody is eligible', async () => {
  const ids = ['a', 'b', 'c']
  const id = fc.constantFrom(...ids)
  const step = fc.oneof(
    fc.record({ verb: fc.constantFrom('fail', 'drain', 'undrain', 'weight0', 'weight1', 'drop'), id }),
    fc.record({ verb: fc.constant('wait'), id }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const clock = fakeClock()
      const balancer = createBalancer({
        backends: ids.map((name) => ({ id: name, url: `http://${name}` })),
        health: { passive: { failures: 1, ejectionMs: 100 } },
        clock,
        audit: { sinks: [] },
      })
      const ops = balancer.as({ id: 'ops', type: 'user' })
      for (const { verb, id } of steps) {
        const known = balancer.snapshot().backends.some((one) => one.id === id)
        if (verb === 'wait') clock.advance(60)
        else if (verb === 'fail') balancer.pick().done({ result: 'connect-refused' })
        else if (!known) await ops.addBackend({ id, url: `http://${id}` })
        else if (verb === 'drain' || verb === 'undrain') await ops[verb](id)
        else if (verb === 'drop') await ops.remove(id)
        else await ops.setWeight(id, verb === 'weight0' ? 0 : 1)
        const { backends } = balancer.snapshot()
        const stranded = backends.filter(({ excluded }) => excluded === 'ejected')
        if (!backends.some(({ eligible }) => eligible)) expect(stranded).toEqual([])
      }
      const closing = balancer.close({ deadlineMs: 0 })
      await until(() => {
        clock.advance(1000)
        return balancer.snapshot().state === 'closed'
      })
      await closing
    }),
    { numRuns: 100 },
  )
})
