// rendezvous: each key ranks the backends anew, and belongs to the first of its ranking.
import type { Members, Owners } from './members.ts'

/** Scores are fixed-point logarithms: 32 × 2²² times the largest weight, 65,535,000, is still below 2⁵³. */
const one = 2 ** 22
const steps = 2048
/** A little below 2²² / ln 2 / 2³²: 1/ln 2 is 1.4427. */
const slope = 14_426 / 10_240_000

/**
 * Highest random weight (Thaler and Ravishankar, 1998) with weights by −log(u)/w (Schindelhauer and Schomaker, 2005): u is
 * uniform for each key and backend, and the lowest quotient is first. A quotient depends on nothing but its own backend and
 * the key, so whatever happens to one backend moves no key between two others. A pick looks at every member.
 */
export class Rendezvous implements Owners {
  readonly #members: Members
  /** With equal weights the highest u is first, and no logarithm is needed: the ranking is the same. */
  readonly #equal: boolean

  constructor(members: Members) {
    this.#members = members
    this.#equal = members.weights.every((weight) => weight === members.weights[0])
  }

  owner(hash: number): number {
    return this.first(hash, undefined)
  }

  score(hash: number, member: number): number {
    return logarithm(this.#members.mixed(hash, member))
  }

  /** The first in the ranking of a key; of those that are marked, where marks are given. -1 if nobody is. */
  first(hash: number, marks: Uint8Array | undefined): number {
    const members = this.#members
    const { size, weights } = members
    const equal = this.#equal
    let best = -1
    let bestU = -1
    let bestLog = Number.POSITIVE_INFINITY
    let bestWeight = 0
    for (let i = 0; i < size; i++) {
      if (marks !== undefined && marks[i] === 0) continue
      const u = members.mixed(hash, i)
      if (equal) {
        if (u > bestU) {
          best = i
          bestU = u
        }
        continue
      }
      // −ln x is at least 1 − x: that leaves most out without a logarithm. One unit is for what is rounded.
      if (((0xffff_ffff - u) * slope - 1) * bestWeight > bestLog * weights[i]!) continue
      const log = logarithm(u)
      // log/w compared without a division: integers compare exactly. Where they are the same, u decides, then the id.
      const mine = log * bestWeight
      const others = bestLog * weights[i]!
      if (mine < others || (mine === others && u > bestU)) {
        best = i
        bestU = u
        bestLog = log
        bestWeight = weights[i]!
      }
    }
    return best
  }
}

/**
 * −log₂((u + 1) / 2³²) × 2²², rounded: from 0 for the highest u to 2²⁷ for 0. Read off a table and between its entries; the
 * table errs by at most a quarter of a unit.
 */
export function logarithm(u: number): number {
  if (u === 0xffff_ffff) return 0
  const zeros = Math.clz32(u + 1)
  const mantissa = ((u + 1) << zeros) >>> 0
  const step = (mantissa >>> 20) & (steps - 1)
  const low = table[step]!
  return Math.round((1 + zeros) * one - (low + (table[step + 1]! - low) * ((mantissa & 0xf_ffff) / 0x10_0000)))
}

/** log₂(1 + i/2048) × 2²². */
const table = Float64Array.from({ length: steps + 1 }, (_, i) => (naturalLog(1 + i / steps) / naturalLog(2)) * one)

/**
 * ln x for x from 1 to 2, as 2 artanh((x−1)/(x+1)). By the basic operations alone: IEEE 754 gives them one result, where
 * `Math.log` may differ from machine to machine. 20 terms are exact to the last bit, for the ratio is at most 1/3.
 */
function naturalLog(x: number): number {
  const z = (x - 1) / (x + 1)
  let sum = 0
  for (let k = 39; k >= 1; k -= 2) sum = sum * z * z + 1 / k
  return 2 * z * sum
}
