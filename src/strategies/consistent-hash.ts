// consistent-hash: requests with the same key go to the same backend, and few keys move when backends come and go.
import type { BackendState } from '../backend.ts'
import { keyOf } from '../request-key.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { BoundedLoad } from './hash/bounded-load.ts'
import { Maglev } from './hash/maglev.ts'
import { Members, type Owners } from './hash/members.ts'
import { murmur3 } from './hash/murmur3.ts'
import { type HashOptions, hashOptions } from './hash/options.ts'
import { Rendezvous } from './hash/rendezvous.ts'
import { Ring } from './hash/ring.ts'

/**
 * A key belongs to one backend as long as the pool is the same, and the record says `hash-owner`. When its owner may not be
 * taken, or has its bound in flight, the key goes to the first of its rendezvous ranking that may: every key has a ranking
 * of its own, so that what one backend cannot take is spread over all others.
 *
 * The handicap of one that joins is no load here: no pick goes by who has least.
 */
class ConsistentHash implements Strategy {
  readonly name = 'consistent-hash'
  /** What is in flight, where picks depend on it: the load of the record counts the handicap in. */
  readonly memory?: (candidates: readonly BackendState[]) => number[]
  readonly #options: HashOptions
  /** Written by rebuild, like the next three. */
  #members = new Members([])
  #ranking = new Rendezvous(this.#members)
  #owners: Owners = this.#ranking
  /** Who may take the present pick. Means nothing between picks. */
  #marks = new Uint8Array(0)
  readonly #bound: BoundedLoad | undefined

  constructor(options: HashOptions) {
    this.#options = options
    if (options.boundedLoad === undefined) return
    this.#bound = new BoundedLoad(options.boundedLoad)
    this.memory = (candidates) => candidates.map(({ inFlight }) => inFlight)
  }

  /** The costly part is done only when ids or weights have changed. */
  rebuild(candidates: readonly BackendState[]): void {
    if (this.#members.renew(candidates)) return
    const members = new Members(candidates)
    const { tableSize, points } = this.#options
    this.#members = members
    this.#marks = new Uint8Array(members.size)
    this.#ranking = new Rendezvous(members)
    this.#owners = this.#ranking
    if (members.size === 0) return
    if (tableSize !== undefined) this.#owners = new Maglev(members, tableSize)
    if (points !== undefined) this.#owners = new Ring(members, points)
  }

  recall(candidates: readonly BackendState[], memory: readonly number[]): void {
    this.#bound?.recall(candidates, memory)
  }

  pick(_candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const { states, size } = this.#members
    const limited = draft.restricted || this.#bound !== undefined
    if (size < 2 && !limited) {
      draft.reason = 'only-eligible'
      return states[0]
    }
    // First of all: a user's function may ask this very strategy for another pick.
    const hash = this.#hashOf(draft)
    const owner = this.#owners.owner(hash)
    if (!limited) return this.#taken(draft, hash, owner, owner)
    const admitted = this.#mark(draft)
    if (admitted < 2) {
      draft.reason = 'only-eligible'
      return states[this.#marks.indexOf(1)]
    }
    this.#bound?.measure(this.#members, this.#marks)
    if (this.#marks[owner] === 1 && this.#bound?.isFull(owner) !== true) return this.#taken(draft, hash, owner, owner)
    this.#bound?.unmarkFull(this.#marks)
    return this.#taken(draft, hash, owner, this.#ranking.first(hash, this.#marks))
  }

  #taken(draft: Draft, hash: number, owner: number, taken: number): BackendState {
    const { states } = this.#members
    draft.reason = taken === owner ? 'hash-owner' : 'hash-next'
    if (draft.trace !== undefined) {
      const other = taken === owner ? this.#successor(hash, owner) : taken
      draft.trace.compared(states[owner]!, this.#owners.score(hash, owner))
      draft.trace.compared(states[other]!, this.#ranking.score(hash, other))
    }
    return states[taken]!
  }

  /** Who has the key when its owner may not be taken. */
  #successor(hash: number, owner: number): number {
    const others = new Uint8Array(this.#members.size).fill(1)
    others[owner] = 0
    return this.#ranking.first(hash, others)
  }

  /** Of the key, or a draw where there is none; as a signed integer. */
  #hashOf(draft: Draft): number {
    let { hash } = draft
    if (hash === undefined) {
      const key = keyOf(draft.request, this.#options.key)
      if (key === undefined || key === '') return draft.random.uint32() | 0
      hash = murmur3(key, 0)
    }
    draft.trace?.hashed(hash >>> 0)
    return hash | 0
  }

  /** Marks who is admitted, and tells how many are. */
  #mark(draft: Draft): number {
    const { states, size } = this.#members
    if (!draft.restricted) {
      this.#marks.fill(1)
      return size
    }
    let count = 0
    for (let i = 0; i < size; i++) {
      const admits = draft.admits(states[i]!)
      this.#marks[i] = admits ? 1 : 0
      if (admits) count++
    }
    return count
  }
}

export const consistentHash = {
  name: 'consistent-hash',
  options: hashOptions,
  create: (_tools, options) => new ConsistentHash(options),
} as const satisfies StrategyDefinition<HashOptions>
