// random: shares by weight, whoever is admitted.
import { expect, it } from 'vitest'
import { seededRandom } from '../../src/random.ts'
import { random } from '../../src/strategies/random.ts'
import { masked, masks } from '../contracts/strategy.ts'
import { countOf, draftOf, made, statesOf } from '../support/pool.ts'

// 20,000 picks a set: the standard error of a share is at most 0.36 %, so 2 % is beyond five of them.
it('shares follow the weights for each of the 15 sets of four, as a list and as what is admitted: 20,000 picks, within 2 %', () => {
  const states = statesOf(1, 10, 4, 5)
  const source = seededRandom(9)
  const whole = made(random, source)
  whole.rebuild?.(states)
  for (const mask of masks(4)) {
    const members = masked(states, mask)
    const own = made(random, source)
    own.rebuild?.(members)
    const total = members.reduce((sum, { weight }) => sum + weight, 0)
    for (const draw of [() => own.pick(members, draftOf(source)), () => whole.pick(states, draftOf(source, members))]) {
      const counts = countOf(Array.from({ length: 20_000 }, draw))
      for (const member of members)
        expect(Math.abs((counts.get(member) ?? 0) / 20_000 - member.weight / total)).toBeLessThan(0.02)
    }
  }
})

it('is drawn anew each time: loads do not count', () => {
  const states = statesOf(1, 1)
  states[0]!.inFlight = 1000
  const source = seededRandom(3)
  const strategy = made(random, source)
  strategy.rebuild?.(states)
  const draft = draftOf(source)
  const counts = countOf(Array.from({ length: 1000 }, () => strategy.pick(states, draft)))
  // 1,000 picks: 100 are more than six standard errors.
  expect(Math.abs(counts.get(states[0])! - 500)).toBeLessThan(100)
  expect(draft.reason).toBe('drawn-by-weight')
})
