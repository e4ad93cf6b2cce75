// power-of-two: draws two distinct backends by weight, and takes the one with less in flight for its weight.
import { type BackendState, loadOf } from '../backend.ts'
import { below } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'

/**
 * The power of two random choices (Mitzenmacher, 2001). The two are always distinct: a draw with replacement picks the
 * busier of two backends in a quarter of all cases. With equal load the first draw wins, so that at low traffic the
 * shares follow the weights.
 */
class PowerOfTwo implements Strategy {
  readonly name = 'power-of-two'
  /** Running sums of the weights of the current candidates. Written by rebuild. */
  #sums: readonly number[] = []

  rebuild(candidates: readonly BackendState[]): void {
    this.#sums = runningSums(candidates)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    if (!draft.restricted) return choose(candidates, this.#sums, draft)
    const admitted = candidates.filter((candidate) => draft.admits(candidate))
    return choose(admitted, runningSums(admitted), draft)
  }
}

function choose(candidates: readonly BackendState[], sums: readonly number[], draft: Draft): BackendState | undefined {
  if (candidates.length < 2) {
    draft.reason = 'only-eligible'
    return candidates[0]
  }
  const total = sums[sums.length - 1]!
  const first = indexAt(sums, below(draft.random, total))
  const start = first === 0 ? 0 : sums[first - 1]!
  const width = sums[first]! - start
  // The second draw is over what is left when the first one's share is cut out.
  const rest = below(draft.random, total - width)
  const second = indexAt(sums, rest < start ? rest : rest + width)
  const a = candidates[first]!
  const b = candidates[second]!
  // Load over weight, compared without a division: integers compare exactly.
  const loadA = loadOf(a) * b.weight
  const loadB = loadOf(b) * a.weight
  draft.reason = loadA === loadB ? 'equal-load-of-two' : 'less-loaded-of-two'
  return loadB < loadA ? b : a
}

function runningSums(candidates: readonly BackendState[]): number[] {
  let sum = 0
  return candidates.map((candidate) => {
    sum += candidate.weight
    return sum
  })
}

/** The first index whose running sum exceeds `point`. */
function indexAt(sums: readonly number[], point: number): number {
  let low = 0
  let high = sums.length - 1
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sums[middle]! > point) high = middle
    else low = middle + 1
  }
  return low
}

export const powerOfTwo = {
  name: 'power-of-two',
  create: () => new PowerOfTwo(),
} as const satisfies StrategyDefinition
