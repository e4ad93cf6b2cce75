// How a balancer shares traffic out before its strategy chooses, and what decisions and events say of it.
import { describe, expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { seededRandom } from '../../src/random.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { countOf } from '../support/pool.ts'
import { watched } from '../support/watched.ts'

const balanced = (options: BalancerOptions) => watched({ random: seededRandom(11), clock: fakeClock(), ...options })
const of = (facts: Record<string, object>) =>
  Object.entries(facts).map(([id, more]) => ({ id, url: `http://${id}`, ...more }))

describe('split', () => {
  // 20,000 picks: the standard error of a share of 5 % is 0.15 %, so 0.6 % is four of them.
  it('gives each group its share: 20,000 picks, within 0.6 % of all', () => {
    const balancer = createBalancer({
      random: seededRandom(11),
      backends: of({ c: { group: 'canary' }, s1: { group: 'stable' }, s2: { group: 'stable' }, x: {} }),
      split: { canary: 5, stable: 95 },
      traceRate: 0,
    })
    const groups = Array.from({ length: 20_000 }, () => {
      const { decision, done } = balancer.pick()
      done({ result: 'ok' })
      return decision.group
    })
    const counts = countOf(groups)
    expect(Math.abs(counts.get('canary')! / 20_000 - 0.05)).toBeLessThan(0.006)
    expect(counts.get('canary')! + counts.get('stable')!).toBe(20_000)
    expect(balancer.snapshot().backends.find(({ id }) => id === 'x')!.picks).toBe(0)
  })

  it('says who was in another group', () => {
    const { balancer } = balanced({
      backends: of({ c: { group: 'canary' }, s: { group: 'stable' }, x: {} }),
      split: { canary: 0, stable: 1 },
    })
    expect(balancer.pick().decision).toMatchObject({
      backend: 's',
      group: 'stable',
      reason: 'only-eligible',
      candidates: 1,
      excluded: [
        { backend: 'c', reason: 'other-group' },
        { backend: 'x', reason: 'other-group' },
      ],
    })
  })
})

describe('a group without a share', () => {
  it.each([{ s: 1 }, { s: 1, x: 0 }])('gets nothing, and is not counted among those that could serve: %j', (split) => {
    const { balancer } = balanced({ backends: of({ a: { group: 's', maxInFlight: 1 }, b: { group: 'x' } }), split })
    // However often it fails: nobody else would serve.
    for (let i = 0; i < 10; i++) balancer.pick().done({ result: 'connect-refused' })
    expect(balancer.pick().backend!.id).toBe('a')
    expect(balancer.pick().decision).toMatchObject({
      candidates: 0,
      excluded: [
        { backend: 'b', reason: 'other-group' },
        { backend: 'a', reason: 'at-capacity' },
      ],
      reason: 'none-eligible',
    })
    expect(balancer.snapshot().backends[1]).toMatchObject({ eligible: false, excluded: 'other-group' })
  })

  it('starts slowly when it gets one', async () => {
    const { balancer, ops } = balanced({
      backends: of({ a: { group: 's' }, b: { group: 'x' } }),
      slowStart: { windowMs: 10_000 },
      split: { s: 1 },
    })
    await ops.update({ split: { s: 1, x: 1_000_000 } })
    const { decision } = balancer.pick()
    expect(decision).toMatchObject({ backend: 'b', group: 'x', ramp: 100 })
  })
})

describe('levels', () => {
  it('fail over when the preferred one is out, and back', () => {
    const { balancer } = balanced({
      backends: of({ a: { priority: 0 }, spare: { priority: 1 } }),
      health: { passive: { failures: 1, ejectionMs: 1000 } },
    })
    expect(balancer.pick().decision).toMatchObject({ backend: 'a', priority: 0 })
    balancer.pick().done({ result: 'connect-refused' })
    expect(balancer.pick().decision).toMatchObject({
      backend: 'spare',
      priority: 1,
      excluded: [{ backend: 'a', reason: 'ejected' }],
    })
  })

  it('are crossed when everybody in the one that was drawn has no room', () => {
    const { balancer } = balanced({
      backends: of({ a: { priority: 0, maxInFlight: 1 }, spare: { priority: 1, maxInFlight: 1 } }),
    })
    expect(balancer.pick().backend!.id).toBe('a')
    expect(balancer.pick().decision).toMatchObject({ backend: 'spare', priority: 1 })
    expect(balancer.pick().decision).toMatchObject({
      reason: 'none-eligible',
      candidates: 0,
      excluded: [
        { backend: 'a', reason: 'at-capacity' },
        { backend: 'spare', reason: 'at-capacity' },
      ],
    })
  })
})

it('the preferred zone has everything while it can take it', () => {
  const { balancer } = balanced({
    backends: of({ near: { zone: 'eu-1', maxInFlight: 2 }, far: { zone: 'us-1' } }),
    locality: { zone: 'eu-1' },
  })
  const picks = Array.from({ length: 3 }, () => balancer.pick().decision)
  expect(picks.map(({ backend, zone }) => [backend, zone])).toEqual([
    ['near', 'local'],
    ['near', 'local'],
    ['far', 'spilled'],
  ])
})

describe('panic', () => {
  const options = {
    backends: of({ a: {}, b: {}, c: {}, d: {} }),
    health: { passive: { failures: 1, ejectionMs: 60_000, maxEjectedPercent: 100 } },
    panic: { thresholdPercent: 50 },
    strategy: 'round-robin',
  } as const

  it('begins below the threshold, is told, stamps every pick, and ends', async () => {
    const { balancer, of: eventsOf, ops } = balanced(options)
    while (balancer.snapshot().backends.filter(({ passive }) => passive === 'ejected').length < 2)
      balancer.pick().done({ result: 'backend-reset' })
    expect(balancer.pick().decision.panic).toBeUndefined()
    expect(eventsOf('pool.panic_changed')).toEqual([])
    balancer.pick().done({ result: 'backend-reset' })
    expect(eventsOf('pool.panic_changed')).toMatchObject([
      { lb: { panic: true, eligible: 1, total: 4 }, outcome: 'failure' },
    ])
    const picks = Array.from({ length: 8 }, () => balancer.pick().decision)
    expect(picks.every(({ panic, candidates }) => panic === true && candidates === 4)).toBe(true)
    expect(new Set(picks.map(({ backend }) => backend)).size).toBe(4)
    await ops.update({ health: { passive: false } })
    expect(eventsOf('pool.panic_changed')).toHaveLength(2)
    expect(eventsOf('pool.panic_changed')[1]).toMatchObject({ lb: { panic: false, eligible: 2 }, outcome: 'success' })
    expect(balancer.pick().decision.panic).toBeUndefined()
  })

  it('does not send to those that an operator took out', async () => {
    const { balancer, ops } = balanced({ ...options, panic: { thresholdPercent: 100 } })
    await ops.drain('a')
    await ops.setWeight('b', 0)
    balancer.pick().done({ result: 'backend-reset' })
    const picks = Array.from({ length: 6 }, () => balancer.pick().decision)
    expect(new Set(picks.map(({ backend, panic }) => `${backend} ${panic}`))).toEqual(new Set(['c true', 'd true']))
  })
})

it('backends of the mirrored group get no ordinary traffic', () => {
  const { balancer } = balanced({
    backends: of({ a: {}, shadow: { group: 'shadow' } }),
    mirror: { group: 'shadow', percent: 1 },
  })
  expect(balancer.pick().decision).toMatchObject({
    backend: 'a',
    excluded: [{ backend: 'shadow', reason: 'mirror-only' }],
  })
})

it('a backend that starts slowly is picked with its part of the weight, and the decision tells', async () => {
  const { balancer, ops } = balanced({
    backends: of({ a: {} }),
    strategy: 'round-robin',
    slowStart: { windowMs: 10_000 },
  })
  await ops.addBackend({ id: 'b', url: 'http://b' })
  const decisions = Array.from({ length: 110 }, () => balancer.pick().decision)
  const mine = decisions.filter(({ backend }) => backend === 'b')
  expect(mine).toHaveLength(10)
  expect(mine.every(({ ramp }) => ramp === 100)).toBe(true)
  expect(decisions.find(({ backend }) => backend === 'a')!.ramp).toBeUndefined()
})

it('split, slow start, panic and affinity are switched off by an update', async () => {
  const {
    balancer,
    ops,
    of: events,
  } = balanced({
    backends: of({ a: { group: 's' }, b: { group: 'x' } }),
    affinity: { key: 'path' },
    panic: { thresholdPercent: 50 },
    slowStart: { windowMs: 10_000 },
    split: { s: 1 },
  })
  await ops.update({ affinity: false, panic: false, slowStart: false, split: false })
  const { decision } = balancer.pick({ path: '/' })
  expect(decision).toMatchObject({ candidates: 2, excluded: [] })
  expect([decision.group, decision.sticky, decision.ramp]).toEqual([undefined, undefined, undefined])
  const [{ config }] = events('config.changed')
  expect(Object.keys(config.before)).toEqual(expect.arrayContaining(['affinity', 'panic', 'slowStart', 'split']))
  expect(config.after).toEqual({})
})
