// What every strategy must keep: the contract of src/strategy.ts, as tests.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import type { Strategy } from '../../src/strategy.ts'
import { draftOf, statesOf } from '../support/pool.ts'

/** Every set of backends out of n but the empty one, as bit masks. */
export const masks = (n: number): number[] => Array.from({ length: 2 ** n - 1 }, (_, i) => i + 1)
export const masked = (states: readonly BackendState[], mask: number): BackendState[] =>
  states.filter((_, i) => (mask & (1 << i)) !== 0)

/** `reasons` is whether the strategy must say why: one of ours must. `options` are those that it is made with. */
export function keepsTheContract(
  name: string,
  create: (random: Random) => Strategy,
  reasons: boolean,
  options: object = {},
): void {
  const fresh = (seed: number, candidates: readonly BackendState[]): { strategy: Strategy; random: Random } => {
    const random = seededRandom(seed)
    const strategy = create(random)
    strategy.rebuild?.(candidates)
    return { strategy, random }
  }

  describe(`contract of ${name} ${JSON.stringify(options)}`, () => {
    it('has the name by which it is configured', () => {
      expect(create(seededRandom(1)).name).toBe(name)
    })

    it('takes the only candidate', () => {
      const [only] = statesOf(7)
      const { strategy, random } = fresh(1, [only!])
      for (let i = 0; i < 10; i++) {
        const draft = draftOf(random)
        expect(strategy.pick([only!], draft)).toBe(only)
        if (reasons) expect(draft.reason).toBe('only-eligible')
      }
    })

    it('returns candidates only, and says why, under any load', () => {
      const states = statesOf(1, 65_535, 3, 10, 2)
      const { strategy, random } = fresh(2, states)
      for (let i = 0; i < 1000; i++) {
        const draft = draftOf(random)
        const picked = strategy.pick(states, draft)
        expect(states).toContain(picked)
        if (reasons) expect(draft.reason).not.toBe('custom')
        if (i % 3 > 0) picked!.inFlight++
      }
    })

    it('takes only what is admitted, for each of the 2ⁿ−1 sets of up to six candidates', () => {
      for (let n = 1; n <= 6; n++) {
        const states = statesOf(...[3, 1, 10, 1, 2, 5].slice(0, n))
        const { strategy, random } = fresh(n, states)
        for (const mask of masks(n)) {
          const admitted = masked(states, mask)
          for (let i = 0; i < 8; i++) expect(admitted).toContain(strategy.pick(states, draftOf(random, admitted)))
        }
      }
    })

    it('returns undefined when nobody is admitted', () => {
      const states = statesOf(1, 2)
      const { strategy, random } = fresh(3, states)
      expect(strategy.pick(states, draftOf(random, []))).toBeUndefined()
    })

    it('goes on with another set after a rebuild', () => {
      const states = statesOf(4, 1, 2, 9)
      const { strategy, random } = fresh(4, states)
      for (const mask of masks(4)) {
        const candidates = masked(states, mask)
        strategy.rebuild?.(candidates)
        for (let i = 0; i < 5; i++) expect(candidates).toContain(strategy.pick(candidates, draftOf(random)))
      }
    })

    it('picks the same for the same seed', () => {
      const run = (): (string | undefined)[] => {
        const states = statesOf(3, 1, 10, 1)
        const { strategy, random } = fresh(5, states)
        return Array.from({ length: 200 }, () => {
          const picked = strategy.pick(states, draftOf(random))
          picked!.inFlight++
          return picked!.config.id
        })
      }
      expect(run()).toEqual(run())
    })
  })
}
