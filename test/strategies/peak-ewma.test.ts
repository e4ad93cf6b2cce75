// peak-ewma: costs that jump up and fade, failures that count as slow, and the cheaper of two distinct draws.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { newBackendState } from '../../src/backend.ts'
import type { PickReason } from '../../src/decision.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { peakEwma } from '../../src/strategies/peak-ewma.ts'
import type { Observation, Strategy } from '../../src/strategy.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { backendOf, countOf, draftOf, made, statesOf } from '../support/pool.ts'

interface Setup {
  readonly strategy: Strategy
  readonly clock: FakeClock
  readonly random: Random
  see(backend: BackendState, latencyUs: number, more?: Partial<Observation>): void
  /** The costs that a record would have now. */
  costs(): number[]
  pick(): { backend: BackendState; reason: PickReason; scores: [BackendState, number][] }
}

function setup(states: readonly BackendState[], options: object = {}, random: Random = seededRandom(3)): Setup {
  const clock = fakeClock()
  const strategy = made(peakEwma, random, options, clock)
  strategy.rebuild?.(states)
  return {
    strategy,
    clock,
    random,
    see: (backend, latencyUs, more) => strategy.observe?.(backend, { failed: false, latencyUs, ...more }),
    costs: () => strategy.memory!(states),
    pick() {
      const scores: [BackendState, number][] = []
      const trace = {
        compared: (candidate: BackendState, score: number) => void scores.push([candidate, score]),
        hashed: () => undefined,
      }
      const draft = { ...draftOf(random), trace }
      const backend = strategy.pick(states, draft)!
      return { backend, reason: draft.reason, scores }
    },
  }
}

/** Those who are picked in so many picks, nothing being in flight. */
const winners = ({ pick }: Setup, times = 50): Set<string> =>
  new Set(Array.from({ length: times }, () => pick().backend.config.id))

describe('the cost', () => {
  it('is the latency at once when that is higher', () => {
    const [a] = statesOf(1)
    const { see, costs, clock } = setup([a!])
    see(a!, 1000)
    expect(costs()).toEqual([1000])
    clock.advance(1)
    see(a!, 70_000)
    expect(costs()).toEqual([70_000])
  })

  it('is drawn down to a lower latency by the part 1 − e^(−Δt/τ)', () => {
    const [a] = statesOf(1)
    const { see, costs, clock } = setup([a!], { decayMs: 1000 })
    see(a!, 90_000)
    clock.advance(1000)
    see(a!, 10_000)
    expect(costs()).toEqual([Math.round(10_000 + 80_000 / Math.E)])
  })

  it('falls to 1/e in the time τ without any answer, 10 s by default', () => {
    const [a] = statesOf(1)
    const { see, costs, clock } = setup([a!])
    see(a!, 90_000)
    clock.advance(10_000)
    expect(costs()).toEqual([Math.round(90_000 / Math.E)])
  })

  it('is not altered by being read', () => {
    const states = statesOf(1, 1)
    const [read, unread] = [setup(states, { decayMs: 100 }), setup(states, { decayMs: 100 })]
    for (const { see } of [read, unread]) {
      see(states[0]!, 90_000)
      see(states[1]!, 55_555)
    }
    for (let i = 0; i < 100; i++) {
      read.clock.advance(3)
      read.pick()
      read.costs()
    }
    unread.clock.advance(300)
    expect(read.costs()).toEqual(unread.costs())
  })

  it('stays where it is while the clock stands still, but for a peak', () => {
    const [a] = statesOf(1)
    const { see, costs } = setup([a!])
    see(a!, 5000)
    see(a!, 10)
    expect(costs()).toEqual([5000])
    see(a!, 6000)
    expect(costs()).toEqual([6000])
  })

  it('is the latency after a gap of a day, and 1 µs at least', () => {
    const [a] = statesOf(1)
    const { see, costs, clock } = setup([a!])
    see(a!, 900_000_000)
    clock.advance(86_400_000)
    expect(costs()).toEqual([1])
    see(a!, 1234)
    expect(costs()).toEqual([1234])
    clock.advance(86_400_000)
    see(a!, 0)
    expect(costs()).toEqual([1])
  })

  it('survives every change of the pool', () => {
    const states = statesOf(1, 1, 1)
    const { see, costs, strategy } = setup(states)
    see(states[0]!, 1000)
    see(states[1]!, 2000)
    see(states[2]!, 3000)
    strategy.rebuild?.([states[2]!])
    states[0]!.config = { ...states[0]!.config, weight: 7 }
    states[0]!.weight = 7000
    strategy.rebuild?.([states[1]!, states[0]!])
    strategy.rebuild?.(states)
    expect(costs()).toEqual([1000, 2000, 3000])
  })
})

describe('a failure', () => {
  it.each([
    ['5 s by default', {}, {}, 200, 5_000_000],
    ['the penalty that is set', { penaltyMs: 70 }, {}, 200, 70_000],
    ['what Retry-After says, where that is more', {}, { retryAfterMs: 120_000 }, 200, 120_000_000],
    ['the penalty, where Retry-After is less', {}, { retryAfterMs: 1000 }, 200, 5_000_000],
    ['300 s at most of what Retry-After says', {}, { retryAfterMs: 86_400_000 }, 200, 300_000_000],
    ['the time it took, where that is more', {}, {}, 60_000_000, 60_000_000],
  ] as const)('counts as slow: %s', (_, options, more, latencyUs, cost) => {
    const [a] = statesOf(1)
    const { see, costs } = setup([a!], options)
    see(a!, 1000)
    see(a!, latencyUs, { failed: true, ...more })
    expect(costs()).toEqual([cost])
  })

  it('of the one that answers fastest keeps it from being picked from the first one on, until it has faded', () => {
    const states = statesOf(1, 1, 1)
    const all = setup(states)
    for (const state of states) all.see(state, 1000)
    all.see(states[0]!, 20, { failed: true })
    expect(winners(all)).toEqual(new Set(['b1', 'b2']))
    // The others are kept at 1 ms by their answers; 5 s fall to that in 10 s × ln 5000 = 85 s.
    const winnersAfter = (ms: number): Set<string> => {
      all.clock.advance(ms)
      for (const state of states.slice(1)) all.see(state, 1000)
      return winners(all)
    }
    expect(winnersAfter(84_000)).toEqual(new Set(['b1', 'b2']))
    expect(winnersAfter(3000).has('b0')).toBe(true)
  })

  it('of one that nothing good is known of does not make the others look bad', () => {
    const states = statesOf(1, 1, 1)
    const all = setup(states)
    all.see(states[0]!, 20, { failed: true })
    expect(all.costs()).toEqual([5_000_000, 1, 1])
    all.see(states[1]!, 1000)
    expect(all.costs()).toEqual([5_000_000, 1000, 1000])
  })

  it.each([
    ['ejected', 'passive', 'ok'],
    ['unhealthy', 'active', 'healthy'],
  ] as const)(
    'is forgotten when the backend was %s and is back, and it costs no less than the median then',
    (out, axis, well) => {
      const states = statesOf(1, 1, 1)
      const all = setup(states, { decayMs: 1000 })
      const set = (to: string): void => void Object.assign(states[2]!, { [axis]: to })
      for (const state of states) all.see(state, 1000)
      all.see(states[2]!, 20, { failed: true })
      set(out)
      all.strategy.rebuild?.(states.slice(0, 2))
      // A request that was still on its way.
      all.see(states[2]!, 20, { failed: true })
      all.clock.advance(1000)
      all.see(states[0]!, 3000)
      all.see(states[1]!, 4000)
      set(well)
      all.strategy.rebuild?.(states)
      expect(all.costs()).toEqual([3000, 4000, 3000])
      // Once only: what it does from then on is its own.
      all.see(states[2]!, 20, { failed: true })
      all.strategy.rebuild?.([...states])
      expect(all.costs()).toEqual([3000, 4000, 5_000_000])
    },
  )

  it('is remembered when an operator took the backend out', () => {
    const states = statesOf(1, 1, 1)
    const all = setup(states)
    for (const state of states) all.see(state, 1000)
    all.see(states[2]!, 20, { failed: true })
    all.strategy.rebuild?.(states.slice(0, 2))
    all.strategy.rebuild?.(states)
    expect(all.costs()).toEqual([1000, 1000, 5_000_000])
  })

  it('fades while successes go on to be counted', () => {
    const states = statesOf(1)
    const all = setup(states, { decayMs: 1000 })
    all.see(states[0]!, 20, { failed: true })
    all.see(states[0]!, 7000)
    expect(all.costs()).toEqual([5_000_000])
    all.clock.advance(1000)
    all.see(states[0]!, 7000)
    expect(all.costs()).toEqual([Math.round(5_000_000 / Math.E)])
    all.clock.advance(20_000)
    all.see(states[0]!, 7000)
    expect(all.costs()).toEqual([7000])
  })
})

describe('what was broken off before it was over', () => {
  const off = { incomplete: true } as const

  it('raises the cost to the time that it had taken, and never lowers it', () => {
    const states = statesOf(1, 1)
    const all = setup(states, { decayMs: 1000 })
    for (const state of states) all.see(state, 10_000)
    all.see(states[0]!, 70_000, off)
    expect(all.costs()).toEqual([70_000, 10_000])
    all.clock.advance(1000)
    const faded = Math.round(70_000 / Math.E)
    all.see(states[0]!, 20, off)
    all.see(states[0]!, faded - 1, off)
    expect(all.costs()[0]).toBe(faded)
    // Nor does it hold up how the cost goes on to fade.
    all.clock.advance(1000)
    expect(all.costs()[0]).toBe(Math.round(70_000 / Math.E ** 2))
    all.see(states[0]!, faded, off)
    expect(all.costs()[0]).toBe(faded)
  })

  it('says nothing of one that is not known if it is below what that is expected to cost, nor of the others', () => {
    const states = statesOf(1, 1, 1)
    const all = setup(states)
    all.see(states[0]!, 7000, off)
    expect(all.costs()).toEqual([7000, 1, 1])
    all.see(states[1]!, 3000)
    all.see(states[2]!, 2000, off)
    expect(all.costs()).toEqual([7000, 3000, 3000])
    all.see(states[2]!, 4000, off)
    expect(all.costs()).toEqual([7000, 3000, 4000])
  })

  it('does not make up for a failure', () => {
    const states = statesOf(1)
    const all = setup(states)
    all.see(states[0]!, 20, { failed: true })
    all.see(states[0]!, 1000, off)
    expect(all.costs()).toEqual([5_000_000])
  })
})

describe('a newcomer', () => {
  it('begins with the median cost of the others, and goes on from there', () => {
    const states = statesOf(1, 1, 1, 1)
    const all = setup(states.slice(0, 3), { decayMs: 1000 })
    const costOfLast = (): number => all.strategy.memory!(states)[3]!
    for (const [i, us] of [1000, 9000, 2000].entries()) all.see(states[i]!, us)
    all.strategy.rebuild?.(states)
    expect(costOfLast()).toBe(2000)
    all.clock.advance(1000)
    expect(costOfLast()).toBe(Math.round(2000 / Math.E))
    all.see(states[3]!, 100)
    expect(costOfLast()).toBe(Math.round(100 + 1900 / Math.E))
  })

  it('takes the lower of two in the middle, and no failing one into account', () => {
    const states = statesOf(1, 1, 1, 1)
    const all = setup(states.slice(0, 3))
    all.see(states[0]!, 1000)
    all.see(states[1]!, 4000)
    all.see(states[2]!, 20, { failed: true })
    all.strategy.rebuild?.(states)
    expect(all.strategy.memory!(states)[3]).toBe(1000)
  })

  it('is equal to the others while nobody has answered yet, and loads decide', () => {
    const states = statesOf(1, 1)
    const all = setup(states)
    expect(all.pick().reason).toBe('equal-cost-of-two')
    states[0]!.inFlight = 1
    expect(winners(all)).toEqual(new Set(['b1']))
  })

  it('is equal to the first that has answered', () => {
    const states = statesOf(1, 1, 1)
    const all = setup(states)
    all.see(states[1]!, 7000)
    expect(all.costs()).toEqual([7000, 7000, 7000])
    expect(all.pick().reason).toBe('equal-cost-of-two')
  })
})

describe('the choice', () => {
  it.each([
    // weights, costs, loads; who wins when b0 is drawn first, and when b1 is; the reason
    ['the lower cost', [1, 1], [1000, 2000], [0, 0], 'b0', 'b0', 'lower-cost-of-two'],
    ['the lower load', [1, 1], [1000, 1000], [1, 0], 'b1', 'b1', 'lower-cost-of-two'],
    ['the lower product', [1, 1], [1000, 2000], [2, 0], 'b1', 'b1', 'lower-cost-of-two'],
    ['the first of equal products', [1, 1], [1000, 2000], [1, 0], 'b0', 'b1', 'equal-cost-of-two'],
    ['the first of equal costs without load', [10, 1], [1000, 1000], [0, 0], 'b0', 'b1', undefined],
    ['the heavy one as long as it has less for its weight', [10, 1], [1000, 1000], [8, 1], 'b0', 'b0', undefined],
    ['the light one where the heavy one has more', [10, 1], [1000, 1000], [10, 0], 'b1', 'b1', undefined],
    ['the heavy one when the light one is slow', [10, 1], [1000, 1001], [0, 0], 'b0', 'b0', undefined],
    ['the light one when it is faster by more than its weight', [10, 1], [1000, 99], [0, 0], 'b1', 'b1', undefined],
  ] as const)('is %s', (_, weights, costs, loads, drawnFirst, drawnSecond, reason) => {
    const states = statesOf(...weights)
    const all = setup(states)
    all.strategy.recall!(states, costs)
    loads.forEach((load, i) => {
      states[i]!.inFlight = load
    })
    const firsts = new Set<string>()
    for (let i = 0; i < 200; i++) {
      const picked = all.pick()
      const first = picked.scores[0]![0].config.id
      firsts.add(first)
      expect(picked.backend.config.id).toBe(first === 'b0' ? drawnFirst : drawnSecond)
      if (reason !== undefined) expect(picked.reason).toBe(reason)
    }
    expect(firsts.size).toBe(2)
  })

  it('counts a handicap as load', () => {
    const states = statesOf(1, 1)
    const all = setup(states)
    states[0]!.inFlight = 3
    states[1]!.handicap = 4
    expect(winners(all)).toEqual(new Set(['b0']))
  })

  // 40,000 picks: the standard error of a share is at most 0.25 %, so 1.5 % is six of them.
  it('follows the weights at equal costs without load: 40,000 picks, each share within 1.5 % of all', () => {
    const weights = [1, 10, 4, 5]
    const states = statesOf(...weights)
    const all = setup(states)
    for (const state of states) all.see(state, 1000)
    const counts = countOf(Array.from({ length: 40_000 }, () => all.pick().backend.config.id))
    weights.forEach((weight, i) => {
      expect(Math.abs((counts.get(`b${i}`) ?? 0) / 40_000 - weight / 20)).toBeLessThan(0.015)
    })
  })

  it.each([2, 3, 5, 8])('is never the costliest of %i, at equal weights', (n) => {
    const states = statesOf(...Array<number>(n).fill(1))
    const all = setup(states)
    for (const [i, state] of states.entries()) all.see(state, 1000 + i)
    expect(winners(all, 5000)).not.toContain(`b${n - 1}`)
  })

  it('keeps a light one within its share of what is in flight: at most 1 of 11, for 1,000 requests that stay', () => {
    const states = statesOf(10, 1)
    const all = setup(states)
    for (let i = 0; i < 1000; i++) {
      all.pick().backend.inFlight++
      expect(states[1]!.inFlight).toBeLessThanOrEqual(states[0]!.inFlight / 10 + 2)
    }
  })

  it('has integer scores that a record can hold, at every extreme', () => {
    const heavy = newBackendState(backendOf('heavy', 65_535))
    const light = newBackendState(backendOf('light', 1))
    light.weight = 10
    for (const [us, load] of [
      [0, 0],
      [0, 1_000_000],
      [Number.MAX_SAFE_INTEGER, 1_000_000],
    ] as const) {
      const all = setup([heavy, light])
      for (const state of [heavy, light]) {
        all.see(state, us)
        state.inFlight = load
      }
      for (let i = 0; i < 20; i++)
        for (const [, score] of all.pick().scores) {
          expect(Number.isSafeInteger(score)).toBe(true)
          expect(score).toBeGreaterThan(0)
        }
    }
  })
})

describe('a record', () => {
  it('of the memory makes every next pick the same in another balancer, wherever its clock stands', () => {
    const random = seededRandom(11)
    const states = statesOf(3, 1, 7, 1, 1)
    const original = setup(states, { decayMs: 50 })
    for (let i = 0; i < 2000; i++) {
      const seen = states[random.uint32() % 4]!
      original.see(seen, random.uint32() % 100_000, { failed: random.uint32() % 20 === 0 })
      seen.inFlight = random.uint32() % 8
      original.clock.advance(random.uint32() % 30)
      const memory = original.strategy.memory!(states)
      expect(memory.every(Number.isSafeInteger)).toBe(true)
      const draw = random.uint32()
      const twin = setup(states, { decayMs: 50 }, seededRandom(draw))
      twin.clock.advance(i)
      twin.strategy.recall!(states, memory)
      // Time goes on between what is remembered and the pick: both go by the time of the memory.
      original.clock.advance(1)
      twin.clock.advance(7)
      const draft = draftOf(seededRandom(draw))
      expect(twin.pick()).toMatchObject({ backend: original.strategy.pick(states, draft), reason: draft.reason })
    }
  })

  it('holds for one pick: the next goes by its own time', () => {
    const states = statesOf(1, 1)
    const all = setup(states, { decayMs: 10 })
    all.see(states[0]!, 1000)
    all.see(states[1]!, 1000)
    all.costs()
    all.clock.advance(10)
    expect(all.pick().scores.map(([, score]) => score)).toEqual([1_024_000, 1_024_000])
    const faded = Math.round(1000 / Math.E) * 1024
    expect(all.pick().scores.map(([, score]) => score)).toEqual([faded, faded])
  })
})

it('a traced pick without a choice does not set the time of the next one', () => {
  const clock = fakeClock()
  const strategy = made(peakEwma, seededRandom(1), {}, clock)
  const [a, b] = statesOf(1, 1)
  strategy.rebuild!([a!])
  strategy.memory!([a!])
  expect(strategy.pick([a!], draftOf())).toBe(a)
  clock.advance(1000)
  strategy.rebuild!([a!, b!])
  for (const backend of [a!, b!]) strategy.observe!(backend, { failed: false, latencyUs: 100_000 })
  clock.advance(10_000)
  const scores: number[] = []
  const trace = { compared: (_: BackendState, score: number) => void scores.push(score), hashed: () => undefined }
  strategy.pick([a!, b!], { ...draftOf(), trace })
  // After the time in which a cost falls to 1/e.
  expect(scores[0]! / 1024).toBeCloseTo(100_000 / Math.E, -1)
})
