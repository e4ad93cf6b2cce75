// Where a rotation begins: at a random turn of the cycle.
import type { BackendState } from '../../backend.ts'
import { below, type Random } from '../../random.ts'

/**
 * The part of its gap that each has to go from one turn of the first cycle, 0 for the one whose turn it is. Every turn is as
 * likely as any other, so first picks follow the weights. In the first cycle turns are staggered, so that backends of equal
 * weight do not come in a block. `divisor` is what the weights have in common.
 */
export function waysAtStart(candidates: readonly BackendState[], divisor: number, random: Random): number[] {
  const stagger = (i: number): number => (i + 0.5) / candidates.length
  const total = candidates.reduce((sum, { weight }) => sum + weight, 0)
  let chosen = 0
  let left = below(random, total)
  for (; left >= candidates[chosen]!.weight; chosen++) left -= candidates[chosen]!.weight
  const moment = (Math.floor(left / divisor) + stagger(chosen)) / candidates[chosen]!.weight
  return candidates.map(({ weight }, i) => {
    const way = stagger(i) - (moment * weight - Math.floor(moment * weight))
    return i === chosen ? 0 : way > 0 ? way : way + 1
  })
}
