// rendezvous: the logarithm, and the ranking that it makes.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../src/random.ts'
import { Members } from '../../../src/strategies/hash/members.ts'
import { logarithm, Rendezvous } from '../../../src/strategies/hash/rendezvous.ts'
import { statesOf } from '../../support/pool.ts'

const top = 0xffff_ffff

describe('the logarithm', () => {
  it.each([
    [0, 134_217_728],
    [1, 130_023_424],
    [2, 127_569_913],
    [999, 92_418_199],
    [65_535, 67_108_864],
    [0x7fff_ffff, 4_194_304],
    [0x8000_0000, 4_194_304],
    [0xc000_0000, 1_740_793],
    [3_141_592_653, 1_892_265],
    [top - 1000, 1],
    [top - 100, 0],
    [top, 0],
  ])('of %i is %i', (u, expected) => {
    expect(logarithm(u)).toBe(expected)
  })

  it('is within a unit of the true one, and never rises', () => {
    fc.assert(
      fc.property(fc.nat(top), fc.nat(top), (a, b) => {
        expect(Math.abs(logarithm(a) - -Math.log2((a + 1) / 2 ** 32) * 2 ** 22)).toBeLessThan(1)
        expect(Math.sign(logarithm(a) - logarithm(b)) * Math.sign(a - b)).toBeLessThanOrEqual(0)
      }),
      { numRuns: 20_000 },
    )
    for (let u = top - 5000; u < top; u++) expect(logarithm(u + 1)).toBeLessThanOrEqual(logarithm(u))
  })
})

describe('the ranking', () => {
  it('is the same by logarithms as by plain values where weights are equal', () => {
    const one = new Members(statesOf(1, 1, 1, 1, 1))
    const equal = new Rendezvous(one)
    // A sixth of another weight, that is never marked, makes the others go by logarithms.
    const other = new Rendezvous(new Members(statesOf(1, 1, 1, 1, 1, 9)))
    const marks = Uint8Array.of(1, 1, 1, 1, 1, 0)
    const random = seededRandom(3)
    for (let i = 0; i < 20_000; i++) {
      const hash = random.uint32() | 0
      expect(other.first(hash, marks)).toBe(equal.owner(hash))
    }
  })

  it('is by score over weight, with all weights, whoever is marked', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(weights, fc.integer(), fc.nat(255), (all, hash, mask) => {
        const members = new Members(statesOf(...all))
        const ranking = new Rendezvous(members)
        const marks = Uint8Array.from(all, (_, i) => (mask >> i) & 1)
        const ranked = all
          .map((_, i) => i)
          .filter((i) => marks[i] === 1)
          .sort((a, b) => {
            const left = ranking.score(hash, a) * members.weights[b]!
            const right = ranking.score(hash, b) * members.weights[a]!
            return left - right || members.mixed(hash, b) - members.mixed(hash, a)
          })
        expect(ranking.first(hash | 0, marks)).toBe(ranked[0] ?? -1)
      }),
      { numRuns: 3000 },
    )
  })

  it('is exact for the largest weights and scores', () => {
    expect(logarithm(0) * 65_535_000).toBeLessThan(Number.MAX_SAFE_INTEGER)
  })
})
