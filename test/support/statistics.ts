// The statistics that tests of chance share.
import type { BackendState } from '../../src/backend.ts'
import type { Random } from '../../src/random.ts'
import { powerOfTwo } from '../../src/strategies/power-of-two.ts'
import { draftOf, made, statesOf } from './pool.ts'

/** The 99.9 % quantile of χ², as Wilson and Hilferty approximate it; 0 for none of freedom, where nothing may differ. */
export const chiSquareBound = (degrees: number): number =>
  degrees === 0 ? 0 : degrees * (1 - 2 / (9 * degrees) + 3.09 * Math.sqrt(2 / (9 * degrees))) ** 3

/** How often each unordered pair of `n` of equal weight is compared in so many picks by power-of-two. */
export function pairsOf(n: number, times: number, random: Random): Map<string, number> {
  const states = statesOf(...Array<number>(n).fill(1))
  const strategy = made(powerOfTwo, random)
  strategy.rebuild?.(states)
  let pair: string[] = []
  const trace = { compared: (one: BackendState) => void pair.push(one.config.id), hashed: () => undefined }
  const draft = { ...draftOf(random), trace }
  const counts = new Map<string, number>()
  for (let i = 0; i < times; i++) {
    pair = []
    strategy.pick(states, draft)
    const key = pair.sort().join(' ')
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return counts
}
