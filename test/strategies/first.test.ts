// first: the first of the list that is admitted.
import { expect, it } from 'vitest'
import { seededRandom } from '../../src/random.ts'
import { first } from '../../src/strategies/first.ts'
import { masked, masks } from '../contracts/strategy.ts'
import { draftOf, made, statesOf } from '../support/pool.ts'

it('takes the first in order of each set, whatever its weight and load', () => {
  const states = statesOf(1, 65_535, 10, 2)
  states[0]!.inFlight = 100
  const strategy = made(first, seededRandom(1))
  for (const mask of masks(4)) {
    const members = masked(states, mask)
    const reason = members.length === 1 ? 'only-eligible' : 'first-in-order'
    const drafts = [draftOf(), draftOf(undefined, members)] as const
    expect(strategy.pick(members, drafts[0])).toBe(members[0])
    expect(strategy.pick(states, drafts[1])).toBe(members[0])
    expect(drafts.map((draft) => draft.reason)).toEqual([reason, reason])
  }
})
