// power-of-two: two distinct draws, and the one with less in flight for its weight.
import { expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { powerOfTwo } from '../../src/strategies/power-of-two.ts'
import type { Strategy } from '../../src/strategy.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'
import { chiSquareBound, pairsOf, sharesUnderLoad } from '../support/statistics.ts'

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

/** A source of chance by which the first that is drawn of two is this one. */
function drawing(strategy: Strategy, states: readonly BackendState[], first: 0 | 1): Random {
  for (let seed = 0; ; seed++) {
    const drawn: BackendState[] = []
    const trace = { compared: (one: BackendState) => void drawn.push(one), hashed: () => undefined }
    strategy.pick(states, { ...draftOf(seededRandom(seed)), trace })
    if (drawn[0] === states[first]) return seededRandom(seed)
  }
}

// What is in flight is whole: with few requests for the weights no share can be exact.
it.each([20, 40, 100, 400])(
  'shares follow the weights with %i in flight and equal service times: 40,000 picks, within 1.5 % of all',
  (open) => {
    const weights = [1, 10, 4, 5]
    for (const [i, share] of sharesUnderLoad(powerOfTwo, weights, open, 40_000, seededRandom(6)).entries())
      expect(Math.abs(share - weights[i]! / 20)).toBeLessThan(0.015)
  },
)

it.each([1, 2, 5, 10, 20, 40])(
  'a light one beside one of ten times its weight gets 0.5 to 1.2 times its share with %i in flight: 40,000 picks',
  (open) => {
    const [light] = sharesUnderLoad(powerOfTwo, [1, 10], open, 40_000, seededRandom(7))
    expect(light! * 11).toBeGreaterThan(0.5)
    expect(light! * 11).toBeLessThan(1.2)
  },
)

it.each([
  // weight and load of b0 and of b1; who is taken when b0 is drawn first, and when b1 is; the reason
  [1, 4, 1, 3, 'b1', 'b1', 'less-loaded-of-two'],
  [1, 4, 1, 5, 'b0', 'b0', 'less-loaded-of-two'],
  [1, 4, 1, 4, 'b0', 'b1', 'equal-load-of-two'],
  [3, 1, 2, 2, 'b0', 'b0', 'less-loaded-of-two'],
  // What one request adds decides: whoever was drawn first stays.
  [3, 1, 2, 1, 'b0', 'b1', 'equal-load-of-two'],
  [10, 9, 1, 0, 'b0', 'b1', 'equal-load-of-two'],
  [10, 10, 1, 0, 'b1', 'b1', 'less-loaded-of-two'],
  [10, 9, 1, 1, 'b0', 'b0', 'less-loaded-of-two'],
  [65_535, 0, 1, 0, 'b0', 'b1', 'equal-load-of-two'],
  // As close as they can be: the products differ by one in 6 × 10^10.
  [65_535, 983_024, 65_534, 983_008, 'b1', 'b1', 'less-loaded-of-two'],
  [65_535, 983_023, 65_534, 983_008, 'b0', 'b1', 'equal-load-of-two'],
] as const)(
  'compares load for weight, and traces by what: weight %i with %i in flight, and %i with %i',
  (w0, load0, w1, load1, drawnFirst, drawnSecond, reason) => {
    const states = statesOf(w0, w1)
    states[0]!.inFlight = load0
    states[1]!.inFlight = Math.max(0, load1 - 1)
    states[1]!.handicap = load1 - states[1]!.inFlight
    const products = [load0 * w1 * 1000, load1 * w0 * 1000] as const
    const strategy = made(powerOfTwo, seededRandom(1))
    strategy.rebuild?.(states)
    for (const first of [0, 1] as const) {
      const scores: [string, number][] = []
      const trace = {
        compared: (one: BackendState, score: number) => void scores.push([one.config.id, score]),
        hashed: () => undefined,
      }
      const draft = { ...draftOf(drawing(strategy, states, first)), trace }
      expect(strategy.pick(states, draft)!.config.id).toBe(first === 0 ? drawnFirst : drawnSecond)
      expect(draft.reason).toBe(reason)
      const second = first === 0 ? 1 : 0
      const ofOne = (second === 1 ? w0 : w1) * 1000
      expect(scores).toEqual([
        [`b${first}`, products[first]],
        [`b${second}`, products[second] + ofOne],
      ])
    }
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
