// Bounded load: the comparison that it rests on. What it does to picks is tested with the strategy.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLess } from '../../../src/strategies/hash/bounded-load.ts'

it('compares products exactly beyond 2⁵³', () => {
  const big = fc.integer({ min: 0, max: 2 ** 38 })
  const near = fc.integer({ min: -3, max: 3 })
  fc.assert(
    fc.property(big, big, near, near, (a, b, x, y) => {
      const [c, d] = [Math.max(0, a + x), Math.max(0, b + y)]
      expect(isLess(a, b, c, d)).toBe(BigInt(a) * BigInt(b) < BigInt(c) * BigInt(d))
    }),
    { numRuns: 5000 },
  )
})

it.each([
  [2 ** 27 + 1, 2 ** 27 - 1, 2 ** 27, 2 ** 27, true],
  [2 ** 27, 2 ** 27, 2 ** 27 + 1, 2 ** 27 - 1, false],
  [2 ** 30 + 1, 2 ** 30 - 1, 2 ** 30, 2 ** 30, true],
  [2 ** 30, 2 ** 30, 2 ** 30, 2 ** 30, false],
])('%i × %i < %i × %i is %s, although doubles cannot tell', (a, b, c, d, expected) => {
  expect(isLess(a, b, c, d)).toBe(expected)
})
