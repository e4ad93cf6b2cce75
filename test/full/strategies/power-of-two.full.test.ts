// power-of-two, in numbers that show a pair that is drawn 1 % too often.
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/random.ts'
import { scaled } from '../../support/scale.ts'
import { chiSquareBound, pairsOf } from '../../support/statistics.ts'

// A pair of k kinds has the standard error √((k−1)/N) of its expected count. N = 1,600,000 for k = 6 makes that 0.18 %, so each
// stays within 1 % by more than five of them, and one that is off by 1 % is outside ±1.96 of them with a power far over 95 %
// (which takes (1.96 + 1.64)² · (k−1) / 0.01² = 648,000).
describe.each([3, 4, 6])('of %i with equal weights', (n) => {
  const kinds = (n * (n - 1)) / 2
  const times = scaled(320_000, 132_000) * (kinds - 1)

  it(`each pair is compared equally often: ${times} picks, each within ${scaled(1, 1.3)} %, and χ² below its 99.9 % quantile`, () => {
    const counts = pairsOf(n, times, seededRandom(31 + n))
    const expected = times / kinds
    expect(counts.size).toBe(kinds)
    for (const count of counts.values()) expect(Math.abs(count / expected - 1)).toBeLessThan(scaled(0.01, 0.013))
    const chi = [...counts.values()].reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)
    expect(chi).toBeLessThan(chiSquareBound(kinds - 1))
  })
})
