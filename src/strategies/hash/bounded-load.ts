// Bounded load: who has less in flight than its bound.
import type { BackendState } from '../../backend.ts'
import { Members } from './members.ts'

/**
 * Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016). Nobody is given a pick after which it has
 * more in flight than ⌈c·w·(m+1)/W⌉: m is what all who are marked have in flight before it, W the sum of their weights, c is
 * `percent`/100. One at least is not full: were all at their bound, they would have c·(m+1) in flight together, and they
 * have m. What is measured holds until the next measure.
 */
export class BoundedLoad {
  readonly #percent: number
  #members = new Members([])
  /** m + 1, and W. */
  #all = 1
  #weight = 0
  /** What counts as in flight in the place of what is, for one pick. */
  #recalled: ReadonlyMap<BackendState, number> | undefined
  #loads: ReadonlyMap<BackendState, number> | undefined

  constructor(percent: number) {
    this.#percent = percent
  }

  recall(candidates: readonly BackendState[], inFlight: readonly number[]): void {
    this.#recalled = new Map(candidates.map((candidate, i) => [candidate, inFlight[i]!]))
  }

  measure(members: Members, marks: Uint8Array): void {
    this.#members = members
    this.#loads = this.#recalled
    this.#recalled = undefined
    let all = 1
    let weight = 0
    for (let i = 0; i < members.size; i++) {
      if (marks[i] === 0) continue
      all += this.#inFlight(i)
      weight += members.weights[i]!
    }
    this.#all = all
    this.#weight = weight
  }

  /** active + 1 > ⌈q⌉ is active ≥ q, and that is compared without a division. */
  isFull(member: number): boolean {
    const weight = this.#members.weights[member]!
    return !isLess(this.#inFlight(member) * 100, this.#weight, this.#all * this.#percent, weight)
  }

  unmarkFull(marks: Uint8Array): void {
    for (let i = 0; i < marks.length; i++) if (marks[i] === 1 && this.isFull(i)) marks[i] = 0
  }

  #inFlight(member: number): number {
    const state = this.#members.states[member]!
    return this.#loads === undefined ? state.inFlight : (this.#loads.get(state) ?? state.inFlight)
  }
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
