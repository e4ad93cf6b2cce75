// Simulated pools for tests of shares: who joins, who comes back, and who fails faster than the others succeed.

import { expect } from 'vitest'
import type { Behaviour, Scenario, SimulatedPick, Simulation } from '../../bench/simulate/engine.mjs'
import { simulate } from '../../bench/simulate/engine.mjs'
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { seededRandom } from '../../src/random.ts'
import type { StrategyOptions } from '../../src/strategies/index.ts'
import { strategies } from '../../src/strategies/index.ts'

/** The strategies that have several ways of going about it, with what they must be given besides their names. */
const ways: Readonly<Record<string, readonly string[]>> = { 'consistent-hash': ['rendezvous', 'maglev', 'ring'] }
const optionsFor = (way: string): StrategyOptions => {
  const [name, algorithm] = way.split(' ')
  return (algorithm === undefined ? { name } : { name, algorithm, key: 'path' }) as StrategyOptions
}

/** All but `first`, which shares nothing out; `consistent-hash` by each algorithm. */
export const sharing = strategies.flatMap(({ name }) =>
  name === 'first' ? [] : (ways[name]?.map((algorithm) => `${name} ${algorithm}`) ?? [name]),
)
export const loadAware = sharing.filter((name) => ['least-connections', 'power-of-two', 'peak-ewma'].includes(name))

const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `b${i}`)

/** Each backend works on 4 requests at a time for 20 ms; all but one of them are asked for 60 % of what they can do. */
const perBackend = 120
const pool = (n: number): Pick<Scenario, 'slots' | 'meanMs' | 'patienceMs' | 'ratePerSecond'> => ({
  slots: 4,
  meanMs: 20,
  patienceMs: 2000,
  ratePerSecond: perBackend * (n - 1),
})

/** In how many seconds one of n has so many picks for its share. */
const secondsFor = (n: number, picks: number): number => (picks * n) / (perBackend * (n - 1))

const play = (strategy: string, seed: number, scenario: Scenario): Promise<Simulation> =>
  simulate({ createBalancer, seededRandom }, { strategy: optionsFor(strategy), scenario, seed })

interface Newcomer {
  readonly picks: readonly SimulatedPick[]
  readonly id: string
  /** From when on it is there. */
  readonly sinceUs: number
}

/** Of n backends with equal service times the last joins after 2 s. */
async function joins(strategy: string, n: number, seconds: number, slowStart?: SlowStart): Promise<Newcomer> {
  const { picks } = await play(strategy, n, {
    ...pool(n),
    spread: 0,
    backends: ids(n - 1),
    seconds: 2 + seconds,
    steps: [{ at: 2, act: (control) => control.add('late', {}) }],
    options: { slowStart },
  })
  return { picks, id: 'late', sinceUs: 2_000_000 }
}

/** Of n backends with equal service times one fails once, is ejected for that, and comes back after 2 s. */
async function recovers(strategy: string, n: number, seconds: number, slowStart?: SlowStart): Promise<Newcomer> {
  let failing = true
  const once: Behaviour = {
    get outcome() {
      const status = failing ? 500 : 200
      failing = false
      return { result: 'ok' as const, status }
    },
  }
  const { picks, health } = await play(strategy, n, {
    ...pool(n),
    spread: 0,
    backends: ids(n),
    seconds: 3.5 + seconds,
    steps: [{ at: 1, act: (control) => control.set('b0', once) }],
    options: { slowStart, health: { passive: { failures: 1, ejectionMs: 2000 } } },
  })
  const back = health.filter(({ backend, to }) => backend === 'b0' && to === 'ok')
  if (back.length !== 1) throw new Error(`it came back ${back.length} times`)
  return { picks, id: 'b0', sinceUs: back[0]!.atUs }
}

type SlowStart = Exclude<BalancerOptions['slowStart'], false | undefined>

/**
 * How many times its share a newcomer got at most, in any window in which that share is at least `expected` picks. The share
 * is that of its weight, which grows from a tenth by a straight line where it starts slowly.
 */
function mostOfShare({ picks, id, sinceUs }: Newcomer, n: number, expected: number, slowStart?: SlowStart): number {
  const after = picks.filter(({ atUs }) => atUs >= sinceUs)
  const shares = after.map(({ atUs }) => {
    const ramp = slowStart === undefined ? 1 : Math.min(1, Math.max(0.1, (atUs - sinceUs) / 1000 / slowStart.windowMs))
    return ramp / (ramp + n - 1)
  })
  let most = 0
  let windows = 0
  let end = 0
  let share = 0
  let got = 0
  for (let start = 0; start < after.length; start++) {
    while (share < expected && end < after.length) {
      share += shares[end]!
      if (after[end]!.backend === id) got++
      end++
    }
    if (share < expected) break
    most = Math.max(most, got / share)
    windows++
    share -= shares[start]!
    if (after[start]!.backend === id) got--
  }
  if (windows === 0) throw new Error(`there is no window with ${expected} expected picks`)
  return most
}

/** Of n backends the first fails from 2 s on with this outcome, 50 times faster than the others succeed. */
async function sinks(
  strategy: string,
  n: number,
  seconds: number,
  outcome: NonNullable<Behaviour['outcome']>,
  options: Scenario['options'] = {},
): Promise<Simulation & { readonly sinceUs: number }> {
  const simulation = await play(strategy, n, {
    ...pool(n),
    backends: ids(n),
    seconds: 2 + seconds,
    steps: [{ at: 2, act: (control) => control.set('b0', { slowness: 1 / 50, outcome }) }],
    options,
  })
  return { ...simulation, sinceUs: 2_000_000 }
}

/**
 * One that joins and one that recovers, with equal service times: in no window in which its share is 1,000 picks does it get
 * more than 1,200. The seed is n. With slow start the ramp takes so long that 2,000 picks would be its whole share.
 */
export async function expectNewcomerWithinShare(strategy: string, n: number, startsSlowly: boolean): Promise<void> {
  const slowStart = startsSlowly ? { windowMs: Math.round(secondsFor(n, 2000) * 1000) } : undefined
  const seconds = secondsFor(n, startsSlowly ? 2200 : 1200)
  const joined = mostOfShare(await joins(strategy, n, seconds, slowStart), n, 1000, slowStart)
  const recovered = mostOfShare(await recovers(strategy, n, seconds, slowStart), n, 1000, slowStart)
  expect({ joined, recovered }).toSatisfy(() => joined <= 1.2 && recovered <= 1.2)
}

/** Long enough for it to come back from its first ejection. */
const sinkSeconds = 12

/**
 * One of n fails 50 times faster than the others succeed, by status and by reset. From when it is ejected for the first time,
 * and with `peak-ewma` from its first failure, ejection on or off, it gets at most 1/n + 3σ of each window of 1,000 picks; and
 * from 1 s on at most 2 % of them. The seed is n.
 */
export async function expectSinkAvoided(strategy: string, n: number): Promise<void> {
  for (const outcome of [{ result: 'ok', status: 503 }, { result: 'backend-reset' }] as const) {
    const { picks, health, sinceUs } = await sinks(strategy, n, sinkSeconds, outcome)
    const from = strategy === 'peak-ewma' ? firstFailure(picks) : health.find(({ to }) => to === 'ejected')!.atUs
    expectAvoided(picks, n, from, sinceUs + 1_000_000)
    if (strategy !== 'peak-ewma') continue
    const off = await sinks(strategy, n, sinkSeconds, outcome, { health: { passive: false } })
    expectAvoided(off.picks, n, firstFailure(off.picks), off.sinceUs + 1_000_000)
  }
}

const firstFailure = (picks: readonly SimulatedPick[]): number => {
  const { atUs, latencyUs } = picks.find(({ failed }) => failed)!
  return atUs + latencyUs
}

function expectAvoided(picks: readonly SimulatedPick[], n: number, from: number, soonUs: number): void {
  const most = 1 / n + 3 * Math.sqrt(((1 / n) * (1 - 1 / n)) / 1000)
  expect(mostOfFirst(picks.filter(({ atUs }) => atUs > from))).toBeLessThanOrEqual(most)
  expect(mostOfFirst(picks.filter(({ atUs }) => atUs >= soonUs))).toBeLessThanOrEqual(0.02)
}

/** The greatest share that b0 has of any 1,000 picks in a row. */
function mostOfFirst(picks: readonly SimulatedPick[]): number {
  const window = 1000
  expect(picks.length).toBeGreaterThanOrEqual(window)
  let most = 0
  let got = 0
  for (const [i, { backend }] of picks.entries()) {
    if (backend === 'b0') got++
    if (i >= window && picks[i - window]!.backend === 'b0') got--
    if (i >= window - 1) most = Math.max(most, got / window)
  }
  return most
}
