// The pool: identity, and who is excluded for what.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import type { Pool } from '../../src/routing/pool.ts'
import { backendOf, poolWith } from '../support/pool.ts'

const ids = (states: readonly BackendState[]): string[] => states.map(({ config }) => config.id)

const poolOf = (...names: string[]): Pool => poolWith(names.map((name) => backendOf(name)))

it('tells who joined and who left', () => {
  const pool = poolWith([])
  expect(ids(pool.sync([backendOf('a'), backendOf('b')]).joined)).toEqual(['a', 'b'])
  const { joined, left } = pool.sync([backendOf('c'), backendOf('b')])
  expect([ids(joined), ids(left), ids(pool.states)]).toEqual([['c'], ['a'], ['c', 'b']])
})

it('keeps the state of a backend through a change of its weight and of the order', () => {
  const pool = poolOf('a', 'b')
  const a = pool.state('a')!
  Object.assign(a, { inFlight: 3, picks: 9, failures: 2, active: 'healthy' })
  pool.sync([backendOf('b'), backendOf('a', 5)])
  expect(pool.state('a')).toBe(a)
  expect(a).toMatchObject({ inFlight: 3, picks: 9, failures: 2, active: 'healthy', config: { weight: 5 } })
  expect(ids(pool.snapshot.candidates)).toEqual(['b', 'a'])
})

it('takes one with another URL for another one', () => {
  const pool = poolOf('a', 'b')
  const before = pool.state('a')!
  before.inFlight = 3
  const { joined, left } = pool.sync([backendOf('a', 1, 81), backendOf('b')])
  expect(left).toEqual([before])
  expect(joined).toEqual([pool.state('a')])
  expect(pool.state('a')).toMatchObject({ inFlight: 0, active: 'unknown' })
})

it.each([
  ['draining', { admin: 'draining', active: 'unhealthy', passive: 'ejected' }, 0],
  ['weight-zero', { active: 'unhealthy', passive: 'ejected' }, 0],
  ['unhealthy', { active: 'unhealthy', passive: 'ejected' }, 1],
  ['ejected', { passive: 'ejected' }, 1],
] as const)('records %s as the reason, before those that follow', (reason, state, weight) => {
  const pool = poolWith([])
  pool.sync([backendOf('a', weight), backendOf('b')])
  Object.assign(pool.state('a')!, state)
  pool.refresh()
  expect(pool.snapshot.excluded).toEqual([{ backend: 'a', reason }])
  expect(ids(pool.snapshot.candidates)).toEqual(['b'])
})

it('a healthy or unknown backend that is ready is a candidate', () => {
  const pool = poolOf('a', 'b')
  pool.state('a')!.active = 'healthy'
  pool.refresh()
  expect(ids(pool.snapshot.candidates)).toEqual(['a', 'b'])
})

it('snapshots are frozen through and through, and their versions grow', () => {
  const pool = poolWith([])
  pool.sync([backendOf('a', 0)])
  const { snapshot } = pool
  expect(Object.isFrozen(snapshot) && Object.isFrozen(snapshot.candidates) && Object.isFrozen(snapshot.excluded)).toBe(
    true,
  )
  expect(snapshot.excluded.every(Object.isFrozen)).toBe(true)
  pool.refresh()
  expect(pool.snapshot.version).toBeGreaterThan(snapshot.version)
  expect(snapshot.excluded).toHaveLength(1)
})

it('any series of updates leaves the state of who stayed as if there had been none', () => {
  const backend = fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd'),
    weight: fc.nat(9),
    port: fc.constantFrom(80, 81),
  })
  const set = fc.uniqueArray(backend, { selector: ({ id }) => id })
  fc.assert(
    fc.property(fc.array(set, { maxLength: 12 }), (updates) => {
      const pool = poolWith([])
      // The twin: by id and url, how often it was picked since it came.
      let twin = new Map<string, number>()
      for (const update of updates) {
        pool.sync(update.map(({ id, weight, port }) => backendOf(id, weight, port)))
        twin = new Map(update.map(({ id, port }) => [`http://${id}:${port}`, twin.get(`http://${id}:${port}`) ?? 0]))
        for (const state of pool.states) {
          expect(state.picks).toBe(twin.get(state.config.url))
          state.picks++
          twin.set(state.config.url, state.picks)
        }
        const { candidates, excluded } = pool.snapshot
        expect(candidates.length + excluded.length).toBe(update.length)
      }
    }),
  )
})
