// round-robin: exact shares in every window, and a fair start.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { seededRandom } from '../../src/random.ts'
import { roundRobin } from '../../src/strategies/round-robin.ts'
import { masked, masks } from '../contracts/strategy.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'

const sum = (states: readonly BackendState[]): number => states.reduce((all, { config }) => all + config.weight, 0)

function expectExactWindows(picks: readonly (BackendState | undefined)[], candidates: readonly BackendState[]): void {
  const window = sum(candidates)
  for (let from = 0; from + window <= picks.length; from++) {
    const counts = countOf(picks.slice(from, from + window))
    for (const candidate of candidates) expect(counts.get(candidate) ?? 0).toBe(candidate.config.weight)
  }
}

it.each([[[1, 1]], [[5, 1, 1]], [[1, 10, 1]], [[3, 2, 7, 1]], [[1, 2, 3, 4, 5, 6]]])(
  'is exact in every window of Σw picks, for every set that is available: weights %j',
  (weights) => {
    const states = statesOf(...weights)
    for (const mask of masks(weights.length)) {
      const candidates = masked(states, mask)
      const strategy = made(roundRobin, seededRandom(mask))
      strategy.rebuild?.(candidates)
      const picks = Array.from({ length: 3 * sum(candidates) }, () => strategy.pick(candidates, draftOf()))
      expectExactWindows(picks, candidates)
    }
  },
)

it('keeps the shares exact when the available set changes, once what is owed has been paid', () => {
  const states = statesOf(1, 10, 1, 4)
  const strategy = made(roundRobin, seededRandom(9))
  strategy.rebuild?.(states)
  for (const mask of [...masks(4), ...masks(4).reverse()]) {
    const candidates = masked(states, mask)
    strategy.rebuild?.(candidates)
    const window = sum(candidates)
    for (let i = 0; i < 2 * sum(states); i++) strategy.pick(candidates, draftOf())
    const picks = Array.from({ length: 3 * window }, () => strategy.pick(candidates, draftOf()))
    expectExactWindows(picks, candidates)
  }
})

it('interleaves: the heavy one does not come in a block', () => {
  const states = statesOf(5, 1, 1)
  const strategy = made(roundRobin, { uint32: () => 0 })
  strategy.rebuild?.(states)
  const picks = Array.from({ length: 7 }, () => strategy.pick(states, draftOf())!.config.id)
  expect(picks).toEqual(['b0', 'b0', 'b1', 'b0', 'b2', 'b0', 'b0'])
})

// 20,000 starts: the standard error of a share of one half is 0.35 %, so 2 % is beyond five of them.
it('the first picks of 20,000 fresh balancers follow the weights within 2 % of all', () => {
  const weights = [1, 10, 1, 8]
  const random = seededRandom(77)
  const firsts = Array.from({ length: 20_000 }, () => {
    const states = statesOf(...weights)
    const strategy = made(roundRobin, random)
    strategy.rebuild?.(states)
    return strategy.pick(states, draftOf())!.config.id
  })
  const counts = countOf(firsts)
  weights.forEach((weight, i) => {
    expect(Math.abs((counts.get(`b${i}`) ?? 0) / 20_000 - weight / 20)).toBeLessThan(0.02)
  })
})

it('the start is bounded work, whatever the weights', () => {
  let looked = 0
  const states = statesOf(65_535, 65_535, 65_535)
  for (const state of states) {
    const { config } = state
    Object.defineProperty(state, 'config', {
      get() {
        looked++
        return config
      },
    })
  }
  const strategy = made(roundRobin, { uint32: () => 0xffff_ffff })
  strategy.rebuild?.(states)
  expect(looked).toBeLessThan(3 * 1001 + 3)
})

it('a change of the weight keeps the place in the rotation', () => {
  const states = statesOf(1, 1)
  const strategy = made(roundRobin, { uint32: () => 0 })
  strategy.rebuild?.(states)
  expect(strategy.pick(states, draftOf())!.config.id).toBe('b0')
  states[0]!.config = { ...states[0]!.config, weight: 1 }
  strategy.rebuild?.(states)
  expect(strategy.pick(states, draftOf())!.config.id).toBe('b1')
})

it.each([
  ['weights shrink', [1000, 1000], [1, 1]],
  ['the heavy one goes', [1000, 1, 1], [0, 1, 1]],
  ['weights grow', [1, 1], [1000, 1000]],
])('nobody waits for more than the new cycle when %s', (_, before, after) => {
  for (let early = 1; early < 1000; early += 37) {
    const states = statesOf(...before)
    const strategy = made(roundRobin, { uint32: () => 0 })
    strategy.rebuild?.(states)
    for (let i = 0; i < early; i++) strategy.pick(states, draftOf())
    states.forEach((state, i) => {
      state.config = { ...state.config, weight: after[i]! }
    })
    const candidates = states.filter(({ config }) => config.weight > 0)
    strategy.rebuild?.(candidates)
    const picks = Array.from({ length: 3 * candidates.length }, () => strategy.pick(candidates, draftOf()))
    for (const candidate of candidates)
      expect(Math.abs((countOf(picks).get(candidate) ?? 0) - 3)).toBeLessThanOrEqual(1)
  }
})

it('after any series of changes each gets its share of the next two cycles, within that of one', () => {
  const weights = fc.array(fc.oneof(fc.nat(3), fc.nat(40), fc.nat(65_535)), { minLength: 6, maxLength: 6 })
  const steps = fc.array(fc.tuple(weights, fc.nat(80)), { minLength: 1, maxLength: 10 })
  const last = fc.array(fc.nat(40), { minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(steps, last, fc.nat(), (changes, end, seed) => {
      const states = statesOf(1, 1, 1, 1, 1, 1)
      const strategy = made(roundRobin, seededRandom(seed))
      const apply = (next: readonly number[]): BackendState[] => {
        states.forEach((state, i) => {
          state.config = { ...state.config, weight: next[i]! }
        })
        const candidates = states.filter(({ config }) => config.weight > 0)
        strategy.rebuild?.(candidates)
        return candidates
      }
      for (const [next, picks] of changes) {
        const candidates = apply(next)
        for (let i = 0; i < picks; i++) strategy.pick(candidates, draftOf())
      }
      const candidates = apply(end)
      const counts = countOf(Array.from({ length: 2 * sum(candidates) }, () => strategy.pick(candidates, draftOf())))
      for (const candidate of candidates) {
        const { weight } = candidate.config
        expect(Math.abs((counts.get(candidate) ?? 0) - 2 * weight)).toBeLessThanOrEqual(weight)
      }
    }),
    { numRuns: 500 },
  )
})

it('one that comes and goes with every pick keeps nobody else from its share', () => {
  const states = statesOf(1, 1, 1)
  const strategy = made(roundRobin, { uint32: () => 0 })
  const picks = Array.from({ length: 600 }, (_, i) => {
    const candidates = i % 2 === 0 ? states : states.slice(0, 2)
    strategy.rebuild?.([...candidates])
    return strategy.pick(candidates, draftOf())!.config.id
  })
  const counts = countOf(picks)
  expect(Math.abs(counts.get('b0')! - counts.get('b1')!)).toBeLessThanOrEqual(2)
  expect(counts.get('b2')).toBeGreaterThan(90)
})
