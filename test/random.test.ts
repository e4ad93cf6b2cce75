// Chance: the generator against its published answers, and draws below a bound.
import { expect, it } from 'vitest'
import { below, seededRandom, systemRandom, uniqueId, xoshiro128 } from '../src/random.ts'
import { countOf } from './support/pool.ts'

it('xoshiro128** gives what the reference implementation gives for the seed 1, 2, 3, 4', () => {
  const { uint32 } = xoshiro128(Int32Array.from([1, 2, 3, 4]))
  expect([uint32(), uint32(), uint32(), uint32()]).toEqual([11_520, 0, 5_927_040, 70_819_200])
})

// 65,536 draws in 16 parts: a part has 4,096 in the mean with a deviation of 62, so 500 is eight of them.
it('fills all parts of its range alike: 65,536 draws', () => {
  const { uint32 } = xoshiro128(Int32Array.from([7, -3, 0x5eed, 99]))
  const counts = countOf(Array.from({ length: 65_536 }, () => Math.floor(uint32() / 2 ** 28)))
  expect(counts.size).toBe(16)
  for (const count of counts.values()) expect(Math.abs(count - 4096)).toBeLessThan(500)
})

it('that of the system gives integers in [0, 2³²), and not the same twice', () => {
  const draws = Array.from({ length: 1000 }, () => systemRandom.uint32())
  for (const draw of draws) expect(Number.isInteger(draw) && draw >= 0 && draw < 2 ** 32).toBe(true)
  expect(new Set(draws).size).toBeGreaterThan(990)
})

it('a draw below a bound is below it, and reaches each value', () => {
  const random = seededRandom(3)
  const values = Array.from({ length: 1000 }, () => below(random, 7))
  expect([...new Set(values)].sort()).toEqual([0, 1, 2, 3, 4, 5, 6])
  expect(below({ uint32: () => 2 ** 32 - 1 }, 2 ** 21)).toBe(2 ** 21 - 1)
})

it('an id is a UUID of version 4, and no other one', () => {
  // More than are drawn at once.
  const ids = Array.from({ length: 1000 }, uniqueId)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(new Set(ids).size).toBe(1000)
  // Every digit that is not fixed takes every value.
  for (const at of [0, 7, 9, 12, 15, 17, 19, 24, 35]) {
    const found = new Set(ids.map((id) => id[at]))
    expect(found.size).toBe(at === 19 ? 4 : 16)
  }
})
