// least-connections: the least in flight for its weight of all, and by weight where what one request adds decides.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import type { PickReason } from '../../src/decision.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { leastConnections } from '../../src/strategies/least-connections.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'
import { sharesUnderLoad } from '../support/statistics.ts'

const loaded = (weights: readonly number[], loads: readonly number[]): BackendState[] => {
  const states = statesOf(...weights)
  loads.forEach((load, i) => {
    states[i]!.inFlight = load
  })
  return states
}

interface Pick {
  readonly id: string
  readonly reason: PickReason
}

function picksOf(states: readonly BackendState[], times: number, random: Random, admitted?: BackendState[]): Pick[] {
  const strategy = made(leastConnections, random)
  return Array.from({ length: times }, () => {
    const draft = draftOf(random, admitted)
    const { config } = strategy.pick(states, draft)!
    return { id: config.id, reason: draft.reason }
  })
}

describe('who can be taken', () => {
  it.each([
    [[1, 1, 1], [3, 1, 2], ['b1'], 'least-loaded'],
    [[1, 1], [2, 2], ['b0', 'b1'], 'equal-least-loaded'],
    [[2, 4], [1, 2], ['b0', 'b1'], 'equal-least-loaded'],
    // With the request a light one that is idle is more loaded than a heavy one with some.
    [[10, 1], [9, 0], ['b0', 'b1'], 'equal-least-loaded'],
    [[10, 1], [10, 0], ['b1'], 'least-loaded'],
    [[10, 1], [9, 1], ['b0'], 'least-loaded'],
    // As close as they can be: the products differ by one in 6 × 10^10.
    [[65_535, 65_534], [983_024, 983_008], ['b1'], 'least-loaded'],
    [[65_534, 65_535], [983_008, 983_023], ['b0', 'b1'], 'equal-least-loaded'],
  ] as const)('weights %j, loads %j', (weights, loads, taken, reason) => {
    const picks = picksOf(loaded(weights, loads), 200, seededRandom(2))
    expect([...new Set(picks.map(({ id }) => id))].sort()).toEqual(taken)
    for (const pick of picks) expect(pick.reason).toBe(reason)
  })

  it('counts the handicap of one that has come to the pool', () => {
    const states = loaded([1, 1], [3, 0])
    states[1]!.handicap = 4
    expect(countOf(picksOf(states, 50, seededRandom(3)).map(({ id }) => id))).toEqual(new Map([['b0', 50]]))
  })

  it('is one of those that are admitted', () => {
    const states = loaded([1, 1, 1], [0, 5, 3])
    const picks = picksOf(states, 50, seededRandom(3), states.slice(1))
    for (const { id, reason } of picks) expect([id, reason]).toEqual(['b2', 'least-loaded'])
  })

  const small = fc.record({ weight: fc.integer({ min: 1, max: 6 }), load: fc.nat(8), open: fc.boolean() })
  const great = fc.record({
    weight: fc.integer({ min: 65_533, max: 65_535 }),
    load: fc.integer({ min: 999_990, max: 1_000_000 }),
    open: fc.boolean(),
  })

  it.each([
    ['small ones', small],
    ['the greatest', great],
  ])('is as the rule says in exact arithmetic: 1,000 pools of %s', (_, one) => {
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 8 }), fc.nat(), (all, seed) => {
        const states = loaded(
          all.map(({ weight }) => weight),
          all.map(({ load }) => load),
        )
        const open = states.filter((_, i) => all[i]!.open)
        const admitted = open.length === 0 || open.length === states.length ? undefined : open
        for (const pick of picksOf(states, 5, seededRandom(seed), admitted)) expectByRule(admitted ?? states, pick)
      }),
      { numRuns: 1000, seed: 7 },
    )
  })
})

/** Whether (load + more) / weight of `a` is less than, equal to (0) or more than that of `b`. */
function compare(a: BackendState, moreA: number, b: BackendState, moreB: number): number {
  const difference = BigInt(a.inFlight + moreA) * BigInt(b.weight) - BigInt(b.inFlight + moreB) * BigInt(a.weight)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

function expectByRule(states: readonly BackendState[], { id, reason }: Pick): void {
  const equals = states.filter((one) => states.every((other) => compare(one, 0, other, 1) < 0))
  expect(equals.map(({ config }) => config.id)).toContain(id)
  const expected = equals.length > 1 ? 'equal-least-loaded' : 'least-loaded'
  expect(reason).toBe(states.length === 1 ? 'only-eligible' : expected)
}

// 40,000 picks each: the standard error of a share is at most 0.25 %, so 1.5 % is six of them.
it.each([
  ['all are idle', [1, 10, 4, 5], [0, 0, 0, 0], [0, 1, 2, 3]],
  ['some are equally busy, and one is busier by a request', [2, 4, 1, 6], [2, 4, 2, 6], [0, 1, 3]],
  ['the heaviest is busy by far', [65_535, 2, 4, 6], [65_535, 1, 2, 3], [1, 2, 3]],
] as const)(
  'shares follow the weights among the equal where %s: 40,000 picks, within 1.5 % of all',
  (_, weights, loads, equal) => {
    const counts = countOf(picksOf(loaded(weights, loads), 40_000, seededRandom(4)).map(({ id }) => id))
    const total = equal.reduce<number>((sum, i) => sum + weights[i]!, 0)
    expect([...counts.keys()].sort()).toEqual(equal.map((i) => `b${i}`))
    for (const i of equal)
      expect(Math.abs((counts.get(`b${i}`) ?? 0) / 40_000 - weights[i]! / total)).toBeLessThan(0.015)
  },
)

// What is in flight is whole: with few requests for the weights no share can be exact.
it.each([20, 40, 100, 400])(
  'shares follow the weights with %i in flight and equal service times: 40,000 picks, within 1.5 % of all',
  (open) => {
    const weights = [1, 10, 4, 5]
    for (const [i, share] of sharesUnderLoad(leastConnections, weights, open, 40_000, seededRandom(6)).entries())
      expect(Math.abs(share - weights[i]! / 20)).toBeLessThan(0.015)
  },
)

it.each([1, 2, 5, 10, 20, 40])(
  'a light one beside one of ten times its weight gets 0.5 to 1.2 times its share with %i in flight: 40,000 picks',
  (open) => {
    const [light] = sharesUnderLoad(leastConnections, [1, 10], open, 40_000, seededRandom(7))
    expect(light! * 11).toBeGreaterThan(0.5)
    expect(light! * 11).toBeLessThan(1.2)
  },
)

it.each(Array.from({ length: 9 }, (_, i) => i + 2))(
  'never picks any but the least busy of %i of equal weight whose loads are distinct, in 1,000 picks',
  (n) => {
    const states = loaded(
      Array<number>(n).fill(1),
      Array.from({ length: n }, (_, i) => i),
    )
    expect(new Set(picksOf(states, 1000, seededRandom(8)).map(({ id }) => id))).toEqual(new Set(['b0']))
  },
)

it('keeps loads in proportion to the weights while requests only come', () => {
  const states = statesOf(1, 3, 6)
  const random = seededRandom(5)
  const strategy = made(leastConnections, random)
  for (let i = 1; i <= 1000; i++) {
    strategy.pick(states, draftOf(random))!.inFlight++
    for (const { inFlight, config } of states) expect(Math.abs(inFlight - (config.weight * i) / 10)).toBeLessThan(7)
  }
})

it('traces every admitted one by its load for its weight', () => {
  const states = loaded([1, 65_535, 7, 3], [1, 1, 0, 2])
  const scores = new Map<BackendState, number>()
  const trace = { compared: (one: BackendState, score: number) => void scores.set(one, score), hashed: () => undefined }
  const strategy = made(leastConnections, seededRandom(1))
  const draft = { ...draftOf(seededRandom(1), [states[0]!, states[1]!, states[3]!]), trace }
  expect(strategy.pick(states, draft)).toBe(states[1])
  expect([...scores]).toEqual([
    [states[0], 65_535],
    [states[1], 1],
    [states[3], 43_690],
  ])
})
