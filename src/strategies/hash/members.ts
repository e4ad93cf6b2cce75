// The candidates as hashing sees them, and the contract of the algorithms that share keys out among them.
import type { BackendState } from '../../backend.ts'
import { mixed, murmur3 } from './murmur3.ts'

/** Decides who owns a key, by its hash of 32 bits. Made for one set of members; never changed. */
export interface Owners {
  /** The member that owns the keys of this hash, by its place among the members. */
  owner(hash: number): number
  /** The integer by which a member came to own this hash, for the record. */
  score(hash: number, member: number): number
}

/**
 * The candidates in the order of their ids, so that neither their order in the pool nor their history counts: every
 * balancer with the same ids and weights gives a key to the same backend.
 */
export class Members {
  /** Written by `renew`. */
  states: readonly BackendState[]
  readonly size: number
  readonly ids: readonly string[]
  readonly weights: Float64Array
  /** The sum of the weights. */
  readonly weight: number
  readonly #first: Int32Array
  readonly #second: Int32Array

  constructor(candidates: readonly BackendState[]) {
    this.states = inOrder(candidates)
    this.size = candidates.length
    this.ids = this.states.map(({ config }) => config.id)
    this.weights = Float64Array.from(this.states, ({ weight }) => weight)
    this.weight = this.weights.reduce((sum, weight) => sum + weight, 0)
    // Any two seeds do, as long as they are never changed: other seeds would move every key.
    this.#first = Int32Array.from(this.ids, (id) => murmur3(id, 1))
    this.#second = Int32Array.from(this.ids, (id) => murmur3(id, 2))
  }

  /** What a hash is worth on a member: uniform in [0, 2³²). */
  mixed(hash: number, member: number): number {
    return mixed(hash, this.#first[member]!, this.#second[member]!)
  }

  /** Takes over these candidates if they have the same ids and weights; tells whether they have. */
  renew(candidates: readonly BackendState[]): boolean {
    if (candidates.length !== this.size) return false
    const states = inOrder(candidates)
    const { ids, weights } = this
    if (!states.every(({ config, weight }, i) => config.id === ids[i] && weight === weights[i])) return false
    this.states = states
    return true
  }
}

/** By UTF-16 code units: the same on every machine. */
const inOrder = (candidates: readonly BackendState[]): BackendState[] =>
  [...candidates].sort((a, b) => (a.config.id < b.config.id ? -1 : 1))
