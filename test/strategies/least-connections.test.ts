// least-connections: the least in flight for its weight of all, and fair where all are idle.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { seededRandom } from '../../src/random.ts'
import { leastConnections } from '../../src/strategies/least-connections.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'

const strategy = made(leastConnections, seededRandom(1))
const loaded = (weights: readonly number[], loads: readonly number[]): BackendState[] => {
  const states = statesOf(...weights)
  loads.forEach((load, i) => {
    states[i]!.inFlight = load
  })
  return states
}

describe('takes the one with the least in flight for its weight', () => {
  it.each([
    [[1, 1, 1], [3, 1, 2], 'b1', 'least-loaded'],
    [[1, 10, 1], [1, 9, 2], 'b1', 'least-loaded'],
    [[1, 10, 1], [1, 11, 1], undefined, 'equal-least-loaded'],
    [[2, 4], [1, 2], undefined, 'equal-least-loaded'],
    // As close as they can be: the products differ by one in 6 × 10^10.
    [[65_535, 65_534], [983_024, 983_009], 'b1', 'least-loaded'],
  ] as const)('weights %j, loads %j', (weights, loads, id, reason) => {
    const states = loaded(weights, loads)
    const draft = draftOf(seededRandom(2))
    const picked = strategy.pick(states, draft)!
    expect(draft.reason).toBe(reason)
    if (id !== undefined) expect(picked.config.id).toBe(id)
    const least = Math.min(...states.map((one) => one.inFlight / one.weight))
    expect(picked.inFlight / picked.weight).toBe(least)
  })

  it('counts the handicap of one that has come to the pool', () => {
    const states = loaded([1, 1], [3, 0])
    states[1]!.handicap = 4
    expect(strategy.pick(states, draftOf())).toBe(states[0])
  })

  it('of those that are admitted', () => {
    const states = loaded([1, 1, 1], [0, 5, 3])
    const draft = draftOf(seededRandom(3), states.slice(1))
    expect(strategy.pick(states, draft)).toBe(states[2])
    expect(draft.reason).toBe('least-loaded')
  })
})

// 40,000 picks each: the standard error of a share is at most 0.25 %, so 1.5 % is six of them.
it.each([
  ['all are idle', [1, 10, 4, 5], [0, 0, 0, 0], [0, 1, 2, 3]],
  ['some are equally busy, and one is busier', [2, 4, 1, 6], [1, 2, 3, 3], [0, 1, 3]],
] as const)(
  'shares follow the weights among the equal where %s: 40,000 picks, within 1.5 % of all',
  (_, weights, loads, equal) => {
    const states = loaded(weights, loads)
    const random = seededRandom(4)
    const counts = countOf(Array.from({ length: 40_000 }, () => strategy.pick(states, draftOf(random))!.config.id))
    const total = equal.reduce<number>((sum, i) => sum + weights[i]!, 0)
    expect([...counts.keys()].sort()).toEqual(equal.map((i) => `b${i}`))
    for (const i of equal)
      expect(Math.abs((counts.get(`b${i}`) ?? 0) / 40_000 - weights[i]! / total)).toBeLessThan(0.015)
  },
)

it('keeps loads in proportion to the weights while requests only come', () => {
  const states = statesOf(1, 3, 6)
  const random = seededRandom(5)
  for (let i = 1; i <= 1000; i++) {
    strategy.pick(states, draftOf(random))!.inFlight++
    for (const { inFlight, config } of states) expect(Math.abs(inFlight - (config.weight * i) / 10)).toBeLessThan(7)
  }
})

it('traces every admitted one, and the one that is taken has the least', () => {
  const states = loaded([1, 65_535, 7, 3], [1, 1, 0, 2])
  const scores = new Map<BackendState, number>()
  const trace = { compared: (one: BackendState, score: number) => void scores.set(one, score), hashed: () => undefined }
  const picked = strategy.pick(states, { ...draftOf(seededRandom(1), [states[0]!, states[1]!, states[3]!]), trace })
  expect(picked).toBe(states[1])
  expect([...scores]).toEqual([
    [states[0], 65_535],
    [states[1], 1],
    [states[3], 43_690],
  ])
})
