// round-robin: exact shares in every window, a fair start, and a place that survives every change.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { weigh } from '../contracts/strategy.ts'
import { countOf, draftOf, statesOf } from '../support/pool.ts'
import { rotation, sumOf, takes, uneven, unevenUnderMasks } from '../support/rotation.ts'

const zero: Random = { uint32: () => 0 }
const ids = (picks: readonly (BackendState | undefined)[]): string => picks.map((one) => one?.config.id[1]).join('')

describe('in every window of Σw picks the counts are the weights', () => {
  it.each([[[1]], [[1, 1]], [[5, 1, 1]], [[1, 10, 1]], [[3, 2, 7, 1]], [[1, 10, 1, 4, 4]], [[1, 2, 3, 4, 5, 6]]])(
    'for every set that is available, as a list and as what is admitted: weights %j',
    (weights) => {
      expect(unevenUnderMasks(statesOf(...weights), seededRandom(weights.length))).toEqual({ lists: 0, drafts: 0 })
    },
  )

  it('the count of what is uneven sees a single pick out of place', () => {
    const [a, b] = statesOf(2, 1)
    expect(uneven([a, b, a, a, b, a], [a!, b!])).toBe(0)
    expect(uneven([a, b, a, a, a, b], [a!, b!])).toBe(1)
  })

  it('for any weights, whatever they have in common, 200 pools', () => {
    const weight = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 300 }))
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 5 }), fc.nat(), (weights, seed) => {
        expect(unevenUnderMasks(statesOf(...weights), seededRandom(seed))).toEqual({ lists: 0, drafts: 0 })
      }),
      { numRuns: 200, seed: 3 },
    )
  })

  it('for weights that ramp up, which are no multiples of each other', () => {
    const states = statesOf(1, 1, 1)
    states[0]!.ramp = 333
    for (const state of states) state.weight = state.config.weight * state.ramp
    const picks = takes(rotation(states, seededRandom(2)), states, 3 * 2333)
    const counts = countOf(picks.slice(500, 500 + 2333))
    expect(states.map((state) => counts.get(state))).toEqual([333, 1000, 1000])
  })

  it('for as many picks as it takes the count of ticks to begin anew', () => {
    const states = statesOf(1, 2)
    // The least weights there are have the longest cycle in ticks: 2^44, of the 2^52 after which the count begins anew.
    states[0]!.weight = 1
    states[1]!.weight = 2
    expect(uneven(takes(rotation(states, seededRandom(4)), states, 3 * 600), states)).toBe(0)
  })
})

it('interleaves: neither the heavy one nor those of equal weight come in a block', () => {
  const once = (...weights: number[]): string => {
    const states = statesOf(...weights)
    return ids(takes(rotation(states, zero), states, sumOf(states)))
  }
  expect(once(5, 1, 1)).toBe('0001002')
  expect(once(1, 1, 1, 1)).toBe('0123')
  expect(once(2, 2, 1)).toBe('01012')
})

describe('the start', () => {
  // 100,000 starts: the standard error of a share is at most 0.16 points, so 1 point is six of them.
  it('the first picks of 100,000 fresh balancers follow the weights within 1 point of 100', () => {
    const weights = [1, 10, 1, 8]
    const random = seededRandom(77)
    const states = statesOf(...weights)
    const counts = countOf(
      Array.from({ length: 100_000 }, () => rotation(states, random).pick(states, draftOf(random))),
    )
    weights.forEach((weight, i) => {
      expect(Math.abs((counts.get(states[i]!) ?? 0) / 100_000 - weight / 20)).toBeLessThan(0.01)
    })
  })

  it('100 instances do not move in step: among 20 of equal weight no moment has more than 20 on one', () => {
    const states = statesOf(...Array<number>(20).fill(1))
    const random = seededRandom(5)
    const instances = Array.from({ length: 100 }, () => rotation(states, random))
    for (let moment = 0; moment < 20; moment++) {
      const counts = countOf(instances.map((strategy) => strategy.pick(states, draftOf(random))))
      expect(Math.max(...counts.values())).toBeLessThanOrEqual(20)
    }
  })
})

describe('after a change', () => {
  it('the rotation goes on where it was', () => {
    const states = statesOf(1, 1)
    const strategy = rotation(states, zero)
    expect(ids(takes(strategy, states, 1))).toBe('0')
    for (const [id, weight] of [
      ['1', 1],
      ['0', 500],
    ] as const) {
      weigh(states[0]!, weight)
      weigh(states[1]!, weight)
      strategy.rebuild?.([...states])
      expect(ids(takes(strategy, states, 1))).toBe(id)
    }
  })

  it.each([
    ['weights shrink', [1000, 1000], [1, 1]],
    ['the heavy one goes', [1000, 1, 1], [0, 1, 1]],
    ['weights grow', [1, 1], [1000, 1000]],
  ])('nobody waits for more than the new cycle when %s', (_, before, after) => {
    for (let early = 1; early < 1000; early += 37) {
      const states = statesOf(...before)
      const strategy = rotation(states, zero)
      takes(strategy, states, early)
      after.forEach((weight, i) => void weigh(states[i]!, weight))
      const candidates = states.filter(({ weight }) => weight > 0)
      strategy.rebuild?.(candidates)
      const counts = countOf(takes(strategy, candidates, 3 * candidates.length))
      for (const candidate of candidates) expect(counts.get(candidate)).toBe(3)
    }
  })

  it('after any series of changes the very first window is exact', () => {
    const weights = fc.array(fc.oneof(fc.nat(3), fc.nat(40), fc.nat(65_535)), { minLength: 6, maxLength: 6 })
    const steps = fc.array(fc.tuple(weights, fc.nat(80)), { minLength: 1, maxLength: 10 })
    const last = fc.array(fc.nat(40), { minLength: 6, maxLength: 6 })
    fc.assert(
      fc.property(steps, last, fc.nat(), (changes, end, seed) => {
        const states = statesOf(1, 1, 1, 1, 1, 1)
        const strategy = rotation(states, seededRandom(seed))
        const apply = (next: readonly number[]): BackendState[] => {
          next.forEach((weight, i) => void weigh(states[i]!, weight))
          const candidates = states.filter(({ weight }) => weight > 0)
          strategy.rebuild?.(candidates)
          return candidates
        }
        for (const [next, times] of changes) takes(strategy, apply(next), times)
        const candidates = apply(end)
        expect(uneven(takes(strategy, candidates, 2 * sumOf(candidates)), candidates)).toBe(0)
      }),
      { numRuns: 500, seed: 1 },
    )
  })

  it('one that comes and goes with every pick keeps nobody else from its share', () => {
    const states = statesOf(1, 1, 1)
    const strategy = rotation(states, zero)
    const picks = Array.from({ length: 600 }, (_, i) => {
      const candidates = i % 2 === 0 ? states : states.slice(0, 2)
      strategy.rebuild?.([...candidates])
      return strategy.pick(candidates, draftOf())!.config.id
    })
    const counts = countOf(picks)
    expect(Math.abs(counts.get('b0')! - counts.get('b1')!)).toBeLessThanOrEqual(2)
    expect(counts.get('b2')).toBeGreaterThan(90)
  })

  it('one that was away for long comes back to its share, without a burst', () => {
    const states = statesOf(4, 4, 4)
    const strategy = rotation(states, zero)
    const others = states.slice(1)
    strategy.rebuild?.(others)
    takes(strategy, others, 1000)
    strategy.rebuild?.(states)
    expect(uneven(takes(strategy, states, 60), states)).toBe(0)
  })

  // 7,000 newcomers, seven places: the standard error of a share is 0.42 points, so 2.5 points are nearly six of them.
  it('newcomers start anywhere in the cycle: of 7,000 each place has a seventh, within 2.5 points of 100', () => {
    const random = seededRandom(6)
    const places = Array.from({ length: 7000 }, () => {
      const states = statesOf(1, 1, 1, 1, 1, 1, 1, 1)
      const others = states.slice(0, 7)
      const strategy = rotation(others, random)
      takes(strategy, others, 1)
      strategy.rebuild?.(states)
      return takes(strategy, states, 7).indexOf(states[7])
    })
    const counts = countOf(places)
    for (let place = 0; place < 7; place++)
      expect(Math.abs((counts.get(place) ?? 0) / 7000 - 1 / 7)).toBeLessThan(0.025)
  })
})

describe('one that is not admitted', () => {
  it('for one pick keeps its place: it is next, and the others follow in their order', () => {
    const states = statesOf(1, 1, 1, 1)
    const strategy = rotation(states, zero)
    expect(ids(takes(strategy, states, 1, states.slice(1)))).toBe('1')
    expect(ids(takes(strategy, states, 7))).toBe('0231023')
  })

  it('for long comes back without a burst', () => {
    const states = statesOf(1, 1, 1, 1)
    const strategy = rotation(states, zero)
    takes(strategy, states, 100, states.slice(1))
    const picks = takes(strategy, states, 40)
    expect(picks[0]).toBe(states[0])
    expect(uneven(picks, states)).toBe(0)
  })
})

it('traces who is due when: the one that is taken is due first', () => {
  const states = statesOf(3, 1, 7)
  const strategy = rotation(states, seededRandom(3))
  for (let i = 0; i < 50; i++) {
    const due = new Map<BackendState, number>()
    const trace = { compared: (one: BackendState, score: number) => void due.set(one, score), hashed: () => undefined }
    const admitted = i % 3 === 0 ? states.slice(1) : states
    const picked = strategy.pick(states, { ...draftOf(undefined, admitted), trace })!
    expect([...due.keys()]).toEqual(admitted)
    expect(due.get(picked)).toBe(Math.min(...due.values()))
  }
})
