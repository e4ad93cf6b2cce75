// ring: points, and who has the next one.
import { expect, it } from 'vitest'
import { seededRandom } from '../../../src/random.ts'
import { Members } from '../../../src/strategies/hash/members.ts'
import { mostPoints, pointCounts, Ring } from '../../../src/strategies/hash/ring.ts'
import { statesOf } from '../../support/pool.ts'

it('gives a key to the next point, as a plain search over all points does', () => {
  const members = new Members(statesOf(1, 2, 5))
  const ring = new Ring(members, 4)
  const points = [4, 8, 20].flatMap((count, member) =>
    Array.from({ length: count }, (_, i) => ({ at: members.mixed(i, member), member })),
  )
  points.sort((a, b) => a.at - b.at)
  const random = seededRandom(4)
  const hashes = Array.from({ length: 2000 }, () => random.uint32())
  for (const hash of [...hashes, 0, 0xffff_ffff, ...points.flatMap(({ at }) => [at, at + 1])]) {
    const next = points.find(({ at }) => at >= hash) ?? points[0]!
    expect([ring.owner(hash | 0), ring.score(hash | 0)]).toEqual([next.member, next.at])
  }
})

it('counts points by weight, and at least one', () => {
  const states = statesOf(1, 2, 10)
  expect([...pointCounts(new Members(states), 100)]).toEqual([100, 200, 1000])
  states[0]!.weight = 1
  states[1]!.weight = 500
  expect([...pointCounts(new Members(states), 100)]).toEqual([1, 50, 1000])
})

it('halves all points until they are within the bound', () => {
  const counts = pointCounts(new Members(statesOf(65_535, 65_535, 2, 1)), 512)
  const total = counts.reduce((sum, count) => sum + count, 0)
  expect(total).toBeLessThanOrEqual(mostPoints)
  expect(total).toBeGreaterThan(mostPoints / 2)
  expect([...counts]).toEqual([262_140, 262_140, 8, 4])
})
