// Slow start: who ramps up, how far at each moment, and what that does to handicaps.
import { describe, expect, it } from 'vitest'
import { slowStartSchema } from '../../src/routing/ramp.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { backendOf, poolWith } from '../support/pool.ts'

const slowStart = (options: object) => slowStartSchema.parse(options)

describe('slow start', () => {
  it('a backend that joins others gets its weight in twenty steps, never ahead of the line', () => {
    const clock = fakeClock()
    const pool = poolWith([backendOf('a', 4)], { slowStart: slowStart({ windowMs: 10_000 }) }, clock)
    expect(pool.state('a')).toMatchObject({ ramp: 1000, weight: 4000 })
    pool.sync([backendOf('a', 4), backendOf('b', 4)])
    const b = pool.state('b')!
    const seen = []
    for (let ms = 0; ms < 10_000; ms += 100) {
      expect(b.ramp).toBeLessThanOrEqual(Math.max(100, ms / 10))
      expect(b.ramp).toBeGreaterThanOrEqual(Math.max(100, ms / 10 - 50))
      expect(b.weight).toBe(4 * b.ramp)
      seen.push(b.ramp)
      clock.advance(100)
    }
    expect(new Set(seen).size).toBe(18)
    expect(b).toMatchObject({ ramp: 1000, weight: 4000 })
    expect(clock.timers).toBe(0)
  })

  it('goes on by a new window from when that is in force', () => {
    const clock = fakeClock()
    const pool = poolWith([backendOf('a')], { slowStart: slowStart({ windowMs: 86_400_000 }) }, clock)
    pool.sync([backendOf('a'), backendOf('b')])
    pool.configure({ locality: { overprovisionPercent: 140 }, slowStart: slowStart({ windowMs: 2000 }) })
    pool.refresh()
    clock.advance(1000)
    expect(pool.state('b')!.ramp).toBe(500)
  })

  it('begins no more once the pool is closed: no timer is left', () => {
    const clock = fakeClock()
    const pool = poolWith([backendOf('a')], { slowStart: slowStart({ windowMs: 2000 }) }, clock)
    pool.close()
    pool.sync([backendOf('a'), backendOf('b')])
    expect(clock.timers).toBe(0)
  })

  it('each step is a new snapshot, with a new list for the strategy', () => {
    const clock = fakeClock()
    const pool = poolWith([backendOf('a')], { slowStart: slowStart({ windowMs: 2000 }) }, clock)
    pool.sync([backendOf('a'), backendOf('b')])
    const before = pool.snapshot
    clock.advance(500)
    expect(pool.snapshot.version).toBeGreaterThan(before.version)
    expect(pool.snapshot.parts[0]!.tiers[0]!.candidates).not.toBe(before.parts[0]!.tiers[0]!.candidates)
  })

  it.each([
    ['recovers by probes', { active: 'unhealthy' }, { active: 'healthy' }],
    ['passes its trial', { passive: 'ejected' }, { passive: 'ok' }],
    ['is undrained', { admin: 'draining' }, { admin: 'ready' }],
  ] as const)('so does one that %s', (_, out, back) => {
    const pool = poolWith([backendOf('a'), backendOf('b')], { slowStart: slowStart({ windowMs: 1000 }) })
    const b = pool.state('b')!
    Object.assign(b, out)
    pool.refresh()
    Object.assign(b, back)
    pool.refresh()
    expect(b.ramp).toBe(100)
    expect(pool.state('a')!.ramp).toBe(1000)
  })

  it('a trial is no recovery yet: the ramp begins when it has passed', () => {
    const pool = poolWith([backendOf('a'), backendOf('b')], { slowStart: slowStart({ windowMs: 1000 }) })
    const b = pool.state('b')!
    for (const [passive, ramp] of [
      ['ejected', 1000],
      ['trial', 1000],
      ['ok', 100],
    ] as const) {
      b.passive = passive
      pool.refresh()
      expect(b.ramp).toBe(ramp)
    }
  })

  it('where all come at once nobody is behind', () => {
    const pool = poolWith([], { slowStart: slowStart({ windowMs: 1000 }) })
    pool.sync([backendOf('a'), backendOf('b')])
    expect(pool.states.map(({ ramp }) => ramp)).toEqual([1000, 1000])
  })

  it('the end of a panic is no recovery of those that were well', () => {
    const names = ['a', 'b', 'c', 'd']
    const rules = { slowStart: slowStart({ windowMs: 1000 }), panic: { thresholdPercent: 60 } }
    const pool = poolWith(
      names.map((name) => backendOf(name)),
      rules,
    )
    for (const name of ['b', 'c']) pool.state(name)!.active = 'unhealthy'
    pool.refresh()
    expect(pool.snapshot.panic).toBe(true)
    pool.state('b')!.active = 'healthy'
    pool.refresh()
    expect(pool.snapshot.panic).toBe(false)
    expect(pool.states.map(({ ramp }) => ramp)).toEqual([1000, 100, 1000, 1000])
  })

  it('aggression bends the line, and the least part is kept to', () => {
    const clock = fakeClock()
    const pool = poolWith(
      [backendOf('a')],
      { slowStart: slowStart({ windowMs: 1000, aggression: 2, minPercent: 30 }) },
      clock,
    )
    pool.sync([backendOf('a'), backendOf('b')])
    expect(pool.state('b')!.ramp).toBe(300)
    clock.advance(500)
    expect(pool.state('b')!.ramp).toBe(Math.round(1000 * Math.sqrt(0.5)))
  })

  it('ends at once when it is switched off, and with the pool', () => {
    const clock = fakeClock()
    const rules = { locality: { overprovisionPercent: 140 }, slowStart: slowStart({ windowMs: 1000 }) }
    const pool = poolWith([backendOf('a')], rules, clock)
    pool.sync([backendOf('a'), backendOf('b')])
    expect(clock.timers).toBe(1)
    pool.configure({ locality: rules.locality })
    pool.refresh()
    expect(pool.state('b')!.ramp).toBe(1000)
    expect(clock.timers).toBe(0)
    pool.configure(rules)
    pool.sync([backendOf('a'), backendOf('b'), backendOf('c')])
    expect(clock.timers).toBe(1)
    pool.close()
    expect(clock.timers).toBe(0)
  })
})

describe('a handicap', () => {
  const busy = (loads: Record<string, number>) => {
    const pool = poolWith(Object.keys(loads).map((name) => backendOf(name)))
    for (const [name, load] of Object.entries(loads)) pool.state(name)!.inFlight = load
    return pool
  }
  const names = (...list: string[]) => list.map((name) => backendOf(name))

  it('makes one that joins count as busy as the median of the others', () => {
    const pool = busy({ a: 1, b: 8, c: 30 })
    pool.sync(names('a', 'b', 'c', 'd'))
    expect(pool.states.map(({ handicap }) => handicap)).toEqual([0, 0, 0, 8])
  })

  it('is by weight, and counts what it has in flight already', () => {
    const pool = busy({ a: 8, b: 8 })
    pool.sync([...names('a', 'b'), backendOf('c', 3)])
    expect(pool.state('c')!.handicap).toBe(24)
    const other = busy({ a: 8, b: 5, c: 8 })
    other.state('b')!.active = 'unhealthy'
    other.refresh()
    other.state('b')!.active = 'healthy'
    other.refresh()
    expect(other.state('b')!.handicap).toBe(3)
  })

  it('goes away by one for each pick that its share would bring it', () => {
    const pool = busy({ a: 4, b: 4, c: 4 })
    pool.sync(names('a', 'b', 'c', 'd'))
    const d = pool.state('d')!
    const seen = Array.from({ length: 20 }, () => {
      pool.picked(pool.state('a')!)
      return d.handicap
    })
    expect(seen).toEqual([4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 0])
  })

  it('is gone when it leaves the eligible', () => {
    const pool = busy({ a: 4, b: 4 })
    pool.sync(names('a', 'b', 'c'))
    pool.state('c')!.admin = 'draining'
    pool.refresh()
    expect(pool.state('c')!.handicap).toBe(0)
  })

  it('there is none in a pool that is idle', () => {
    const pool = busy({ a: 0, b: 0 })
    pool.sync(names('a', 'b', 'c'))
    expect(pool.state('c')!.handicap).toBe(0)
  })

  it('counts those of the same list only, both for what it begins with and for what pays it off', () => {
    const zoned = (id: string, zone: string) => Object.freeze({ ...backendOf(id), zone })
    const before = [zoned('a', 'here'), zoned('x', 'there'), zoned('y', 'there'), zoned('z', 'there')]
    const pool = poolWith(before, { locality: { zone: 'here', overprovisionPercent: 140 } })
    pool.state('a')!.inFlight = 4
    pool.sync([...before, zoned('b', 'here')])
    const b = pool.state('b')!
    expect(b.handicap).toBe(4)
    for (let i = 0; i < 4; i++) pool.picked(pool.state('x')!)
    expect(b.handicap).toBe(4)
    for (let i = 0; i < 4; i++) pool.picked(pool.state('a')!)
    expect(b.handicap).toBe(2)
  })

  it('many that come at once are each brought level with those that were there', () => {
    const pool = busy({ a: 4, b: 4 })
    pool.sync(names('a', 'b', 'c', 'd', 'e', 'f'))
    expect(pool.states.map(({ handicap }) => handicap)).toEqual([0, 0, 4, 4, 4, 4])
  })
})
