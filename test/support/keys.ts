// Hashes of keys, and who owns them: for tests of hashing.
import type { BackendState } from '../../src/backend.ts'
import { seededRandom } from '../../src/random.ts'
import { consistentHash } from '../../src/strategies/consistent-hash.ts'
import type { Strategy } from '../../src/strategy.ts'
import { draftOf, made } from './pool.ts'

export const algorithms = ['rendezvous', 'maglev', 'ring'] as const

/** A strategy by the path as key, unless told otherwise. */
export const hashing = (options: object = {}): Strategy =>
  made(consistentHash, seededRandom(1), { key: 'path', ...options })

/** The owner of each of the keys `/k0`, `/k1`, …: how a new strategy for these candidates picks. */
export function ownersOf(candidates: readonly BackendState[], keys: number, options: object = {}): string[] {
  const strategy = hashing(options)
  strategy.rebuild?.(candidates)
  const draft = draftOf()
  return Array.from(
    { length: keys },
    (_, i) => strategy.pick(candidates, { ...draft, request: { path: `/k${i}` } })!.config.id,
  )
}

/** How many keys have another owner, of those whose owner was not `id` and is not. */
export const foreignMoves = (before: readonly string[], after: readonly string[], id: string): number =>
  before.filter((owner, i) => owner !== after[i] && owner !== id && after[i] !== id).length

export function primeFrom(n: number): number {
  for (let p = n; ; p++) {
    let isPrime = p > 1
    for (let d = 2; d * d <= p && isPrime; d++) isPrime = p % d !== 0
    if (isPrime) return p
  }
}
