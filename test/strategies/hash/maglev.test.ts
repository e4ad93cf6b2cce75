// maglev: shares of the table, and what moves when a backend leaves.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Maglev, sharesOf, tableSizeSchema } from '../../../src/strategies/hash/maglev.ts'
import { Members } from '../../../src/strategies/hash/members.ts'
import { primeFrom } from '../../support/keys.ts'
import { statesOf } from '../../support/pool.ts'

const tableOf = (members: Members, size: number): number[] => {
  const maglev = new Maglev(members, size)
  return Array.from({ length: size }, (_, slot) => maglev.owner(slot))
}
const entriesOf = (table: readonly number[], n: number): number[] => {
  const counts = new Array<number>(n).fill(0)
  for (const member of table) counts[member]!++
  return counts
}

it.each([2, 3, 10, 33, 100])('has entries max/min ≤ 1.01 with %i equal weights and 500 slots for each', (n) => {
  const counts = entriesOf(tableOf(new Members(statesOf(...Array<number>(n).fill(3))), primeFrom(500 * n)), n)
  expect(Math.max(...counts) / Math.min(...counts)).toBeLessThanOrEqual(1.01)
})

it.each([2, 3, 10, 33, 100])('moves at most 2/%i of all slots when one leaves', (n) => {
  const size = primeFrom(500 * n)
  const states = statesOf(...Array<number>(n).fill(1))
  const before = new Members(states)
  const table = tableOf(before, size)
  for (const gone of n < 10 ? states : [states[0]!, states[n >> 1]!, states[n - 1]!]) {
    const after = new Members(states.filter((state) => state !== gone))
    const moved = tableOf(after, size).filter((member, slot) => after.ids[member] !== before.ids[table[slot]!])
    expect(moved.length).toBeLessThanOrEqual((2 * size) / n)
  }
})

it('gives each its share of the slots, within one, whatever the weights', () => {
  const weights = fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 65_535 })), {
    minLength: 1,
    maxLength: 30,
  })
  fc.assert(
    fc.property(weights, fc.constantFrom(2, 31, 101, 1009), (all, size) => {
      const members = new Members(statesOf(...all))
      const counts = entriesOf(tableOf(members, size), all.length)
      expect(counts).toEqual([...sharesOf(members, size)])
      counts.forEach((count, i) => {
        expect(Math.abs(count - (size * members.weights[i]!) / members.weight)).toBeLessThan(1)
      })
    }),
    { numRuns: 300 },
  )
})

it('is the same table for good: the first slots of five backends', () => {
  expect(tableOf(new Members(statesOf(1, 2, 3, 4, 5)), 101).slice(0, 24)).toEqual([
    4, 2, 4, 2, 0, 2, 2, 2, 3, 3, 3, 3, 4, 3, 3, 4, 1, 1, 4, 1, 2, 4, 0, 4,
  ])
})

describe('the size of the table', () => {
  it.each([2, 101, 65_537, 5_000_011])('may be %i', (size) => {
    expect(tableSizeSchema.safeParse(size).success).toBe(true)
  })
  it.each([1, 4, 65_536, 65_539 * 3, 5_000_021, 10.5, '101'])('may not be %j', (size) => {
    expect(tableSizeSchema.safeParse(size).success).toBe(false)
  })
})
