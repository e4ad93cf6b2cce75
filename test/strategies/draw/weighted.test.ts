// The weighted draw: exact shares, and a second one that is always another.
import { expect, it } from 'vitest'
import { seededRandom } from '../../../src/random.ts'
import { WeightedDraw } from '../../../src/strategies/draw/weighted.ts'
import { draftOf, statesOf } from '../../support/pool.ts'

/** Runs through [0, 2³²) in even steps: what is drawn follows the shares to a step or two, without any chance. */
const steps = (count: number): { uint32(): number } => {
  let i = 0
  return { uint32: () => Math.floor(((i++ % count) + 0.5) * (0x1_0000_0000 / count)) }
}

it.each([[[1]], [[1, 1]], [[1, 10, 4, 5]], [[65_535, 1, 300, 65_535, 7]], [[2, 2, 2, 2, 2, 2, 2]]])(
  'gives each the share that its weight is, to two steps of 2^20 evenly spaced draws: weights %j',
  (weights) => {
    const states = statesOf(...weights)
    const draw = new WeightedDraw()
    draw.rebuild(states)
    const count = 2 ** 20
    const draft = draftOf(steps(count))
    const counts = new Array<number>(weights.length).fill(0)
    for (let i = 0; i < count; i++) counts[draw.first(states, draft)]!++
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    // Each column has two ends, and a backend may own parts of all columns.
    weights.forEach((weight, i) => {
      expect(Math.abs(counts[i]! - (weight / total) * count)).toBeLessThanOrEqual(2 * weights.length)
    })
  },
)

// χ² over the n(n−1) ordered pairs; the bound is the 99.9 % quantile (normal approximation of Wilson and Hilferty).
it.each([
  ['equal weights', [1, 1, 1, 1], undefined],
  ['unequal weights', [1, 10, 4, 5], undefined],
  ['one that has nearly all', [1, 2, 65_535], undefined],
  ['some of equal weights', [1, 1, 1, 1, 1], [0, 2, 3]],
  ['few of unequal weights', [1, 10, 4, 5, 100, 1000], [0, 1, 2]],
] as const)(
  'draws ordered pairs by weight, then by weight among the rest: %s, 200,000 pairs',
  (_, weights, admitted) => {
    const states = statesOf(...weights)
    const who = admitted ?? weights.map((_, i) => i)
    const random = seededRandom(11)
    const draft = draftOf(
      random,
      admitted?.map((i) => states[i]!),
    )
    const draw = new WeightedDraw()
    draw.rebuild(states)
    const times = 200_000
    const counts = new Map<string, number>()
    for (let i = 0; i < times; i++) {
      const first = draw.first(states, draft)
      const pair = `${first}-${draw.second(states, draft, first)}`
      counts.set(pair, (counts.get(pair) ?? 0) + 1)
    }
    const total = who.reduce((sum, i) => sum + weights[i]!, 0)
    const pairs = who.flatMap((a) => who.filter((b) => b !== a).map((b) => [a, b] as const))
    let chi = 0
    let seen = 0
    for (const [a, b] of pairs) {
      const expected = times * (weights[a]! / total) * (weights[b]! / (total - weights[a]!))
      const count = counts.get(`${a}-${b}`) ?? 0
      chi += (count - expected) ** 2 / expected
      seen += count
    }
    expect(seen).toBe(times)
    const degrees = pairs.length - 1
    expect(chi).toBeLessThan(degrees * (1 - 2 / (9 * degrees) + 3.09 * Math.sqrt(2 / (9 * degrees))) ** 3)
  },
)

it('finds nobody where nobody is admitted, and no second where only one is', () => {
  const states = statesOf(3, 1, 2)
  const draw = new WeightedDraw()
  draw.rebuild(states)
  expect(draw.first(states, draftOf(seededRandom(1), []))).toBe(-1)
  const only = draftOf(seededRandom(1), [states[1]!])
  expect(draw.first(states, only)).toBe(1)
  expect(draw.second(states, only, 1)).toBe(-1)
  draw.rebuild([])
  expect(draw.first([], draftOf())).toBe(-1)
  draw.rebuild([states[0]!])
  expect(draw.first([states[0]!], draftOf())).toBe(0)
  expect(draw.second([states[0]!], draftOf(), 0)).toBe(-1)
})
