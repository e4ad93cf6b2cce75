// What every strategy must keep: the contract of src/strategy.ts, as tests.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import type { Draft, Strategy, Tracer } from '../../src/strategy.ts'
import { draftOf, statesOf } from '../support/pool.ts'

/** Every set of backends out of n but the empty one, as bit masks. */
export const masks = (n: number): number[] => Array.from({ length: 2 ** n - 1 }, (_, i) => i + 1)
export const masked = (states: readonly BackendState[], mask: number): BackendState[] =>
  states.filter((_, i) => (mask & (1 << i)) !== 0)

/** Gives a backend another weight, as a change of the configuration does: a `rebuild` must follow. */
export function weigh(state: BackendState, weight: number): void {
  state.config = { ...state.config, weight }
  state.weight = weight * state.ramp
}

/** What a traced pick leaves: what replaying it takes. */
interface Recorded extends Tracer {
  readonly scores: { readonly candidate: BackendState; readonly score: number }[]
  hash: number | undefined
}
function recorder(): Recorded {
  const scores: Recorded['scores'] = []
  return {
    scores,
    hash: undefined,
    compared: (candidate, score) => void scores.push({ candidate, score }),
    hashed(hash) {
      this.hash = hash
    },
  }
}

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

    it('goes on by the new weights after a rebuild with the same backends', () => {
      const states = statesOf(4, 1, 2, 9)
      const { strategy, random } = fresh(6, states)
      for (const weights of [
        [1, 1, 1, 1],
        [65_535, 1, 1, 2],
        [3, 5, 7, 65_535],
      ]) {
        weights.forEach((weight, i) => void weigh(states[i]!, weight))
        // At the beginning of its ramp: a weight need be no multiple of 1,000.
        states[1]!.weight = 1
        strategy.rebuild?.([...states])
        for (let i = 0; i < 20; i++) expect(states).toContain(strategy.pick(states, draftOf(random)))
      }
    })

    /** A pool in traffic: loads come and go, ends are told, and every fourth pick may not take some. */
    const inTraffic = (
      each: (go: { strategy: Strategy; states: BackendState[]; draft: Draft; i: number }) => BackendState | undefined,
    ): void => {
      const states = statesOf(3, 1, 10, 1, 2)
      const { strategy, random } = fresh(7, states)
      for (let i = 0; i < 400; i++) {
        const admitted = i % 4 === 3 ? masked(states, 1 + ((i * 7) % 31)) : undefined
        const draft = {
          ...draftOf(random, admitted),
          request: { path: `/${i}`, client: { address: `10.0.0.${i % 256}` } },
        }
        const picked = each({ strategy, states, draft, i })
        expect(picked).toBeDefined()
        picked!.inFlight++
        const done = states[(i * 3) % 5]!
        if (done.inFlight === 0) continue
        done.inFlight--
        strategy.observe?.(done, { failed: i % 9 === 0, latencyUs: 500 + ((i * 37) % 1000) })
      }
    }

    it('changes nothing of a candidate', () => {
      inTraffic(({ strategy, states, draft }) => {
        const before = structuredClone(states)
        strategy.rebuild?.(states)
        const picked = strategy.pick(states, draft)
        expect(states).toEqual(before)
        return picked
      })
    })

    it('draws from the draft only', () => {
      let isPicking = false
      const random = seededRandom(8)
      const strategy = create({
        uint32() {
          if (isPicking) throw new Error('drew from elsewhere during a pick')
          return random.uint32()
        },
      })
      const states = statesOf(3, 1, 10, 1, 2)
      strategy.rebuild?.(states)
      isPicking = true
      for (const mask of masks(5)) {
        expect(strategy.pick(states, draftOf(random))).toBeDefined()
        expect(strategy.pick(states, draftOf(random, masked(states, mask)))).toBeDefined()
      }
    })

    it('picks the same when it is traced, and traces candidates with integers', () => {
      const picks = (isTraced: boolean): (string | undefined)[] => {
        const ids: (string | undefined)[] = []
        inTraffic(({ strategy, states, draft }) => {
          const trace = recorder()
          const picked = strategy.pick(states, isTraced ? { ...draft, trace } : draft)
          ids.push(picked?.config.id)
          for (const { candidate, score } of trace.scores) {
            expect(states).toContain(candidate)
            expect(Number.isSafeInteger(score)).toBe(true)
          }
          return picked
        })
        return ids
      }
      expect(picks(true)).toEqual(picks(false))
    })

    it('replays: another one with the same memory, draws and hash picks the same', () => {
      inTraffic(({ strategy, states, draft, i }) => {
        const memory = strategy.memory?.(states)
        if (memory !== undefined) {
          expect(memory).toHaveLength(states.length)
          expect(memory.every(Number.isSafeInteger)).toBe(true)
        }
        const trace = recorder()
        const draws: number[] = []
        const { random } = draft
        const drawing: Random = {
          uint32() {
            const drawn = random.uint32()
            draws.push(drawn)
            return drawn
          },
        }
        const other = create(seededRandom(1000 + i))
        other.rebuild?.(states)
        if (memory !== undefined) other.recall?.(states, memory)
        const recorded = { ...draft, trace, random: drawing }
        const picked = strategy.pick(states, recorded)
        const left = [...draws]
        const again = { ...draft, request: {}, random: { uint32: () => left.shift()! }, hash: trace.hash }
        expect(other.pick(states, again)).toBe(picked)
        expect(again.reason).toBe(recorded.reason)
        expect(left).toEqual([])
        return picked
      })
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
