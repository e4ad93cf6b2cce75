// The histogram of latencies: percentiles within 1/8, of what came lately.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { seededRandom } from '../../src/random.ts'
import { Latencies } from '../../src/routing/latencies.ts'

/** The smallest value that so many percent are not above. */
function exact(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.ceil((sorted.length * percent) / 100) - 1]!
}

function filled(values: readonly number[]): Latencies {
  const latencies = new Latencies()
  for (const value of values) latencies.record(value)
  return latencies
}

it('is never below the percentile, and at most 1/8 above', () => {
  const value = fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(0x7fff_ffff))
  fc.assert(
    fc.property(
      fc.array(value, { minLength: 100, maxLength: 600 }),
      fc.integer({ min: 50, max: 99 }),
      (values, percent) => {
        const found = filled(values).percentile(percent)!
        const wanted = exact(values, percent)
        expect(found).toBeGreaterThanOrEqual(wanted)
        expect(found).toBeLessThanOrEqual(wanted + wanted / 8)
      },
    ),
    { numRuns: 300, seed: 5 },
  )
})

it('knows nothing until 100 values came', () => {
  const latencies = filled(Array(99).fill(1000))
  expect(latencies.percentile(95)).toBeUndefined()
  latencies.record(1000)
  expect(latencies.percentile(95)).toBeGreaterThanOrEqual(1000)
})

it('forgets what is more than 2,000 values ago, and keeps the last 1,000', () => {
  const latencies = filled(Array(5000).fill(1_000_000))
  for (let i = 0; i < 999; i++) latencies.record(10)
  expect(latencies.percentile(99)).toBeGreaterThan(900_000)
  for (let i = 0; i < 1001; i++) latencies.record(10)
  expect(latencies.percentile(99)).toBe(10)
})

it('takes what is out of its range for its ends', () => {
  expect(filled(Array(100).fill(-5)).percentile(50)).toBe(0)
  expect(filled(Array(100).fill(2 ** 40)).percentile(50)).toBe(2 ** 31 - 1)
})

it('looks a percentile up anew once in 64 values', () => {
  const random = seededRandom(11)
  const latencies = filled(Array.from({ length: 100 }, () => 100 + (random.uint32() % 10)))
  const before = latencies.percentile(50)
  for (let i = 0; i < 63; i++) latencies.record(1_000_000)
  for (let i = 0; i < 63; i++) latencies.percentile(50)
  expect(latencies.percentile(50)).toBe(before)
  for (let i = 0; i < 64; i++) latencies.record(1_000_000)
  expect(latencies.percentile(50)).toBeGreaterThan(900_000)
})
