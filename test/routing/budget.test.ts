// The budget of extra attempts: exact in every window, and over any time.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Budget, type BudgetConfig, budgetSchema } from '../../src/routing/budget.ts'

const budgetOf = (config: BudgetConfig) => new Budget(() => config)
const second = 1_000_000

/** Asks for extra attempts until none is allowed; returns how many there were. */
function drain(budget: Budget, nowUs: number): number {
  let spent = 0
  for (; budget.allows(nowUs); spent++) budget.spend(nowUs)
  return spent
}

it('has a floor of 100 in 10 s by default', () => {
  const budget = budgetOf(budgetSchema.parse({}))
  expect(drain(budget, 0)).toBe(100)
  expect(drain(budget, 9 * second)).toBe(0)
  expect(drain(budget, 10 * second)).toBe(100)
})

it('grows by the requests, to the last one', () => {
  const budget = budgetOf({ percent: 20, minPerSecond: 0 })
  for (let i = 0; i < 4; i++) budget.request(0)
  expect(drain(budget, 0)).toBe(0)
  budget.request(0)
  expect(drain(budget, 0)).toBe(1)
  for (let i = 0; i < 50; i++) budget.request(5 * second)
  expect(drain(budget, 5 * second)).toBe(10)
})

it('forgets requests and extra attempts after 10 s', () => {
  const budget = budgetOf({ percent: 20, minPerSecond: 0 })
  for (let i = 0; i < 50; i++) budget.request(0)
  expect(drain(budget, 10 * second)).toBe(0)
  for (let i = 0; i < 50; i++) budget.request(10 * second)
  expect(drain(budget, 10 * second)).toBe(10)
  // A long silence.
  for (let i = 0; i < 50; i++) budget.request(10_000 * second)
  expect(drain(budget, 10_000 * second)).toBe(10)
})

it('goes by the configuration of the moment', () => {
  let config = { percent: 0, minPerSecond: 0 }
  const budget = new Budget(() => config)
  for (let i = 0; i < 100; i++) budget.request(0)
  expect(drain(budget, 0)).toBe(0)
  config = { percent: 50, minPerSecond: 1 }
  expect(drain(budget, 0)).toBe(60)
})

it('holds its bounds whatever the order and the time: in each window, and over all of it', () => {
  const step = fc.record({
    ms: fc.oneof(fc.constant(0), fc.nat(3000), fc.nat(60_000)),
    requests: fc.nat(30),
    asks: fc.nat(60),
  })
  const config = fc.record({ percent: fc.nat(200), minPerSecond: fc.nat(5) })
  fc.assert(
    fc.property(config, fc.array(step, { minLength: 1, maxLength: 60 }), (given, steps) => {
      const budget = budgetOf(given)
      const floor = given.minPerSecond * 10
      const log: { slot: number; requests: number; extras: number }[] = []
      let nowUs = 0
      for (const { ms, requests, asks } of steps) {
        nowUs += ms * 1000
        for (let i = 0; i < requests; i++) budget.request(nowUs)
        let extras = 0
        for (let i = 0; i < asks && budget.allows(nowUs); i++, extras++) budget.spend(nowUs)
        log.push({ slot: Math.floor(nowUs / second), requests, extras })
        const recent = log.filter(({ slot }) => slot > log[log.length - 1]!.slot - 10)
        const sum = (of: 'requests' | 'extras') => recent.reduce((total, one) => total + one[of], 0)
        if (extras > 0) expect(sum('extras') * 100).toBeLessThanOrEqual(sum('requests') * given.percent + floor * 100)
        // It denies only what would break the bound.
        if (extras < asks)
          expect((sum('extras') + 1) * 100).toBeGreaterThan(sum('requests') * given.percent + floor * 100)
      }
      const all = (of: 'requests' | 'extras') => log.reduce((total, one) => total + one[of], 0)
      const windows = Math.floor(Math.floor(nowUs / second) / 10) + 1
      expect(all('extras') * 100).toBeLessThanOrEqual(all('requests') * given.percent + floor * windows * 100)
    }),
    { numRuns: 300, seed: 3 },
  )
})
