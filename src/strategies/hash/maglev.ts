// maglev: a table of slots that the backends have filled in turns, each by a preference of its own.
import { z } from 'zod'
import type { Members, Owners } from './members.ts'

const mostSlots = 5_000_011

export const tableSizeSchema = z
  .int()
  .min(2)
  .max(mostSlots)
  .superRefine((size, context) => {
    if (size <= mostSlots && !isPrime(size)) context.addIssue({ code: 'custom', message: 'expected a prime number' })
  })

function isPrime(n: number): boolean {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return true
}

/**
 * Maglev hashing (Eisenbud et al., NSDI 2016, section 3.4): each backend visits all slots in an order of its own, and takes
 * the next free one when it is its turn. A pick is one look into the table, at any number of backends.
 */
export class Maglev implements Owners {
  readonly #slots: Int32Array

  constructor(members: Members, tableSize: number) {
    const { size: n } = members
    const slots = new Int32Array(tableSize).fill(-1)
    // The preference is an arithmetic progression: as the table's size is prime it meets every slot once.
    const at = Int32Array.from({ length: n }, (_, i) => members.mixed(0, i) % tableSize)
    const skip = Int32Array.from({ length: n }, (_, i) => (members.mixed(1, i) % (tableSize - 1)) + 1)
    for (const member of turnsOf(sharesOf(members, tableSize), tableSize)) {
      let slot = at[member]!
      while (slots[slot] !== -1) slot = (slot + skip[member]!) % tableSize
      slots[slot] = member
      at[member] = slot
    }
    this.#slots = slots
  }

  owner(hash: number): number {
    return this.#slots[this.score(hash)]!
  }

  score(hash: number): number {
    return (hash >>> 0) % this.#slots.length
  }
}

/** How many slots each gets: in proportion to the weights, and off by less than one (largest remainder). */
export function sharesOf({ size, weights, weight }: Members, tableSize: number): Int32Array {
  const shares = new Int32Array(size)
  // Exact: a weight times the table's size is below 2⁴⁹.
  const rests = Array.from(weights, (one, i) => {
    shares[i] = Math.floor((one * tableSize) / weight)
    return one * tableSize - shares[i]! * weight
  })
  const byRest = rests.map((_, i) => i).sort((a, b) => rests[b]! - rests[a]! || a - b)
  let left = tableSize - shares.reduce((sum, share) => sum + share, 0)
  for (const i of byRest) if (left-- > 0) shares[i]!++
  return shares
}

/** The members in the order of their turns: each as often as its share, and spread evenly over the rounds. */
function turnsOf(shares: Int32Array, tableSize: number): Int32Array {
  const rounds = shares.reduce((most, share) => Math.max(most, share), 0)
  const roundOf = (turn: number, share: number): number => Math.floor(((2 * turn + 1) * rounds) / (2 * share))
  // Sorted by round, and within a round by member, by counting.
  const ends = new Int32Array(rounds + 1)
  for (const share of shares) for (let turn = 0; turn < share; turn++) ends[roundOf(turn, share) + 1]!++
  for (let round = 0; round < rounds; round++) ends[round + 1]! += ends[round]!
  const turns = new Int32Array(tableSize)
  shares.forEach((share, member) => {
    for (let turn = 0; turn < share; turn++) turns[ends[roundOf(turn, share)]!++] = member
  })
  return turns
}
