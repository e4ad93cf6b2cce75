// The statistics that tests of chance share.
import type { BackendState } from '../../src/backend.ts'
import { below, type Random } from '../../src/random.ts'
import { powerOfTwo } from '../../src/strategies/power-of-two.ts'
import type { StrategyDefinition } from '../../src/strategy.ts'
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

/**
 * The shares of the picks that each of these weights gets while as many requests as are `open` are in flight all the time:
 * each time one of them ends, any with the same chance, another is picked for. So service times are alike on all.
 */
export function sharesUnderLoad(
  definition: StrategyDefinition,
  weights: readonly number[],
  open: number,
  times: number,
  random: Random,
): number[] {
  const states = statesOf(...weights)
  const strategy = made(definition, random)
  strategy.rebuild?.(states)
  const counts = new Map(states.map((state) => [state, 0]))
  const running: BackendState[] = []
  for (let i = -open; i < times; i++) {
    const picked = strategy.pick(states, draftOf(random))!
    picked.inFlight++
    running.push(picked)
    if (i < 0) continue
    counts.set(picked, counts.get(picked)! + 1)
    const [ended] = running.splice(below(random, running.length), 1)
    ended!.inFlight--
  }
  return states.map((state) => counts.get(state)! / times)
}
