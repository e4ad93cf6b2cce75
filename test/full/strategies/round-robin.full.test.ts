// round-robin, for many pools of up to six, every set of each.
import { expect, it } from 'vitest'
import { below, seededRandom } from '../../../src/random.ts'
import { statesOf } from '../../support/pool.ts'
import { unevenUnderMasks } from '../../support/rotation.ts'
import { scaled } from '../../support/scale.ts'

const pools = scaled(2000, 150)

it.each([1, 2, 3, 4, 5, 6])(`%i backends: every window of Σw picks is exact under all masks, ${pools} pools`, (n) => {
  const random = seededRandom(n)
  for (let i = 0; i < pools; i++) {
    const greatest = [3, 12, 60][i % 3]!
    const weights = Array.from({ length: n }, () => 1 + below(random, greatest))
    expect([weights, unevenUnderMasks(statesOf(...weights), random)]).toEqual([weights, { lists: 0, drafts: 0 }])
  }
})
