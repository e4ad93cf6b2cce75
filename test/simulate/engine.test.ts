// The simulation itself: it repeats to the last digit, and does what its scenario says.
import { expect, it } from 'vitest'
import { type Scenario, simulate } from '../../bench/simulate/engine.mjs'
import { createBalancer } from '../../src/balancer.ts'
import { seededRandom } from '../../src/random.ts'

const library = { createBalancer, seededRandom }
const quiet: Scenario = {
  backends: ['a', 'b'],
  slots: 2,
  meanMs: 10,
  spread: 0,
  ratePerSecond: 50,
  patienceMs: 500,
  seconds: 10,
}
const play = (scenario: Scenario, strategy = 'round-robin' as const, seed = 1) =>
  simulate(library, { strategy, scenario, seed })

it('gives the same for the same seed, and something else for another', async () => {
  const busy = { ...quiet, spread: 0.5, ratePerSecond: 300, behaviours: { a: { slowness: 3 } } }
  const [one, same, other] = await Promise.all([play(busy), play(busy), play(busy, 'round-robin', 2)])
  expect(same).toEqual(one)
  expect(other.picks).not.toEqual(one.picks)
})

it('gives every strategy the same arrivals', async () => {
  const runs = await Promise.all(
    (['round-robin', 'power-of-two', 'peak-ewma'] as const).map((strategy) =>
      simulate(library, { strategy, scenario: quiet, seed: 3 }),
    ),
  )
  const [first, ...others] = runs.map(({ picks }) => picks.map(({ atUs }) => atUs))
  for (const other of others) expect(other).toEqual(first)
})

// 20,000 arrivals: their number has a standard deviation of 0.7 %, so 4 % is more than five of them.
it('lets requests come at the rate that is set, within 4 %', async () => {
  const { picks } = await play({ ...quiet, slots: 1000, ratePerSecond: 2000 })
  expect(Math.abs(picks.length / 20_000 - 1)).toBeLessThan(0.04)
})

it('makes those wait that find every slot taken, first in, first out', async () => {
  const { picks } = await play({ ...quiet, backends: ['a'], slots: 1, ratePerSecond: 80 })
  let freeUs = 0
  for (const { atUs, latencyUs, failed } of picks) {
    expect(failed).toBe(false)
    freeUs = Math.max(atUs, freeUs) + 10_000
    expect(atUs + latencyUs).toBe(freeUs)
  }
  expect(picks.some(({ latencyUs }) => latencyUs > 20_000)).toBe(true)
})

it('ends the patience of clients that get no answer, and serves nobody who has left', async () => {
  const { picks } = await play({
    ...quiet,
    backends: ['a'],
    slots: 1,
    steps: [
      { at: 2, act: (control) => control.set('a', { stuck: true }) },
      { at: 4, act: (control) => control.set('a', {}) },
    ],
    options: { health: { passive: false } },
  })
  const during = picks.filter(({ atUs }) => atUs > 2_000_000 && atUs < 3_400_000)
  expect(during.length).toBeGreaterThan(20)
  for (const { failed, latencyUs } of during) expect([failed, latencyUs]).toEqual([true, 500_000])
  const after = picks.filter(({ atUs }) => atUs > 5_000_000)
  expect(after.filter(({ failed }) => failed)).toEqual([])
})

it('lets backends fail as they are told, and tells what became of their health', async () => {
  const { picks, health } = await play({
    ...quiet,
    behaviours: { a: { slowness: 0.1, outcome: { result: 'backend-reset' } } },
  })
  const failed = picks.filter((pick) => pick.failed)
  expect(failed.length).toBeGreaterThanOrEqual(5)
  expect(failed.every(({ backend, latencyUs }) => backend === 'a' && latencyUs === 1000)).toBe(true)
  expect(health[0]).toMatchObject({ backend: 'a', from: 'ok', to: 'ejected', cause: 'consecutive-failures' })
})

it('adds, drains and removes backends as the scenario says', async () => {
  const { picks } = await play({
    ...quiet,
    steps: [
      { at: 3, act: (control) => control.add('c', {}) },
      { at: 6, act: (control) => control.drain('a') },
      { at: 7, act: (control) => control.remove('a') },
    ],
  })
  const seen = (from: number, to: number): string[] =>
    [
      ...new Set(picks.filter(({ atUs }) => atUs >= from * 1e6 && atUs < to * 1e6).map(({ backend }) => backend!)),
    ].sort()
  expect(seen(0, 3)).toEqual(['a', 'b'])
  expect(seen(3, 6)).toEqual(['a', 'b', 'c'])
  expect(seen(6, 10)).toEqual(['b', 'c'])
})
