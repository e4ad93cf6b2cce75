// power-of-two: two distinct draws, and the one with less in flight for its weight.
import { expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { powerOfTwo } from '../../src/strategies/power-of-two.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'

function picks(states: readonly BackendState[], times: number, random: Random = seededRandom(5)): string[] {
  const strategy = made(powerOfTwo, random)
  strategy.rebuild?.(states)
  return Array.from({ length: times }, () => strategy.pick(states, draftOf(random))!.config.id)
}

it.each([2, 3, 5, 8])('never picks the busiest of %i whose loads are distinct', (n) => {
  const states = statesOf(...Array<number>(n).fill(1))
  states.forEach((state, i) => {
    state.inFlight = i
  })
  expect(picks(states, 5000)).not.toContain(`b${n - 1}`)
})

it('draws each pair equally often: 30,000 draws of six pairs, each within 5 % of a sixth', () => {
  const n = 4
  const pairs = Array.from({ length: n }, (_, a) => Array.from({ length: n - 1 - a }, (_, i) => [a, a + 1 + i])).flat()
  const states = statesOf(...Array<number>(n).fill(1))
  // Loads 0, 1, 2, 3: b_i wins exactly the pairs with those behind it, so wins per backend tell of the pairs.
  states.forEach((state, i) => {
    state.inFlight = i
  })
  const counts = countOf(picks(states, 30_000))
  for (let i = 0; i < n - 1; i++) {
    const share = pairs.filter(([a]) => a === i).length / pairs.length
    expect(Math.abs(counts.get(`b${i}`)! / 30_000 / share - 1)).toBeLessThan(0.05)
  }
})

// 40,000 picks: the standard error of a share is at most 0.25 %, so 1.5 % is six of them.
it('shares follow the weights at zero load: 40,000 picks, each share within 1.5 % of all', () => {
  const weights = [1, 10, 4, 5]
  const counts = countOf(picks(statesOf(...weights), 40_000))
  weights.forEach((weight, i) => {
    expect(Math.abs((counts.get(`b${i}`) ?? 0) / 40_000 - weight / 20)).toBeLessThan(0.015)
  })
})

it('shares follow the weights among the admitted ones too', () => {
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
] as const)(
  'compares load for weight: weights %i and %i with %i and %i in flight',
  (w0, w1, load0, load1, id, reason) => {
    const states = statesOf(w0, w1)
    states[0]!.inFlight = load0
    states[1]!.inFlight = load1
    const random: Random = { uint32: () => 0 }
    const strategy = made(powerOfTwo, random)
    strategy.rebuild?.(states)
    const draft = draftOf(random)
    expect(strategy.pick(states, draft)!.config.id).toBe(id)
    expect(draft.reason).toBe(reason)
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
