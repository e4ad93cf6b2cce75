// power-of-two: two distinct draws, and the one with less in flight for its weight.
import { expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { powerOfTwo } from '../../src/strategies/power-of-two.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'
import { chiSquareBound, pairsOf } from '../support/statistics.ts'

function picks(states: readonly BackendState[], times: number, random: Random = seededRandom(5)): string[] {
  const strategy = made(powerOfTwo, random)
  strategy.rebuild?.(states)
  return Array.from({ length: times }, () => strategy.pick(states, draftOf(random))!.config.id)
}

// Drawn with replacement it would be picked in one of n² cases: 5,000 picks of 20 would show 12.5 of them on average.
it.each(Array.from({ length: 19 }, (_, i) => i + 2))(
  'never picks the busiest of %i whose loads are distinct, in 5,000 picks',
  (n) => {
    const states = statesOf(...Array<number>(n).fill(1))
    states.forEach((state, i) => {
      state.inFlight = i
    })
    expect(picks(states, 5000)).not.toContain(`b${n - 1}`)
  },
)

// The standard error of a pair's count is 1.3 % at 30,000 pairs. test/full has the numbers for 1 %.
it.each([2, 3, 4, 7])('draws each pair of %i equally often: χ² of 30,000 pairs below its 99.9 % quantile', (n) => {
  const counts = pairsOf(n, 30_000, seededRandom(17))
  const kinds = (n * (n - 1)) / 2
  expect(counts.size).toBe(kinds)
  const expected = 30_000 / kinds
  const chi = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
  expect(chi).toBeLessThanOrEqual(chiSquareBound(kinds - 1))
})

// 40,000 picks: the standard error of a share is at most 0.25 %, so 1.5 % is six of them.
it('shares follow the weights at zero load: 40,000 picks, each share within 1.5 % of all', () => {
  const weights = [1, 10, 4, 5]
  const counts = countOf(picks(statesOf(...weights), 40_000))
  weights.forEach((weight, i) => {
    expect(Math.abs((counts.get(`b${i}`) ?? 0) / 40_000 - weight / 20)).toBeLessThan(0.015)
  })
})

it('shares follow the weights among the admitted ones too: 20,000 picks, within 2 % of all', () => {
  const random = seededRandom(6)
  const states = statesOf(1, 10, 4, 5)
  const admitted = [states[0]!, states[2]!]
  const strategy = made(powerOfTwo, random)
  strategy.rebuild?.(states)
  const counts = countOf(Array.from({ length: 20_000 }, () => strategy.pick(states, draftOf(random, admitted))))
  expect(Math.abs(counts.get(states[0]!)! / 20_000 - 0.2)).toBeLessThan(0.02)
  expect(counts.get(states[0]!)! + counts.get(states[2]!)!).toBe(20_000)
})

it.each([
  [1, 4, 1, 3, 'b1', 'less-loaded-of-two'],
  [1, 4, 1, 5, 'b0', 'less-loaded-of-two'],
  [3, 1, 2, 1, 'b0', 'less-loaded-of-two'],
  [65_535, 1, 65_535, 1, 'b0', 'equal-load-of-two'],
  // As close as they can be: the products differ by one in 6 × 10^10.
  [65_535, 983_024, 65_534, 983_009, 'b1', 'less-loaded-of-two'],
] as const)(
  'compares load for weight, and traces by what: weight %i with %i in flight, and %i with %i',
  (w0, load0, w1, load1, id, reason) => {
    const states = statesOf(w0, w1)
    states[0]!.inFlight = load0
    states[1]!.inFlight = load1 - 1
    states[1]!.handicap = 1
    const random: Random = { uint32: () => 0 }
    const strategy = made(powerOfTwo, random)
    strategy.rebuild?.(states)
    const scores = new Map<string, number>()
    const trace = {
      compared: (one: BackendState, score: number) => void scores.set(one.config.id, score),
      hashed: () => undefined,
    }
    const draft = { ...draftOf(random), trace }
    expect(strategy.pick(states, draft)!.config.id).toBe(id)
    expect(draft.reason).toBe(reason)
    expect(Object.fromEntries(scores)).toEqual({ b0: load0 * w1 * 1000, b1: load1 * w0 * 1000 })
  },
)

it('keeps two backends of equal weight within one of each other while requests only come', () => {
  const random = seededRandom(8)
  const states = statesOf(1, 1)
  const strategy = made(powerOfTwo, random)
  strategy.rebuild?.(states)
  for (let i = 0; i < 1000; i++) {
    strategy.pick(states, draftOf(random))!.inFlight++
    expect(Math.abs(states[0]!.inFlight - states[1]!.inFlight)).toBeLessThanOrEqual(1)
  }
})
