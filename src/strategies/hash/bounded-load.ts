// Bounded load: who has less in flight than its bound.
import type { BackendState } from '../../backend.ts'
import type { Members } from './members.ts'

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): of the marked members, takes the mark
 * from those that would have more in flight than ⌈c·w·(m+1)/W⌉ after one pick more; m is what all marked ones have in flight,
 * W the sum of their weights, c is `percent`/100. One at least keeps its mark: were all at their bound, they would have
 * c·(m+1) in flight together, and they have m.
 */
export function unmarkFull(
  { states, size, weights }: Members,
  marks: Uint8Array,
  percent: number,
  activeOf: (state: BackendState) => number,
): void {
  let all = 1
  let weight = 0
  for (let i = 0; i < size; i++) {
    if (marks[i] === 0) continue
    all += activeOf(states[i]!)
    weight += weights[i]!
  }
  // active + 1 ≤ ⌈q⌉ is active < q, and that is compared without a division.
  for (let i = 0; i < size; i++)
    if (marks[i] !== 0 && !isLess(activeOf(states[i]!) * 100, weight, all * percent, weights[i]!)) marks[i] = 0
}

/**
 * Whether a·b < c·d, for integers whose products may exceed 2⁵³. Rounding never turns an order around: only what looks equal
 * is in doubt, and then the two are so close that their lowest 32 bits tell.
 */
export function isLess(a: number, b: number, c: number, d: number): boolean {
  const left = a * b
  const right = c * d
  if (left !== right || left <= Number.MAX_SAFE_INTEGER) return left < right
  return ((Math.imul(a, b) - Math.imul(c, d)) | 0) < 0
}
