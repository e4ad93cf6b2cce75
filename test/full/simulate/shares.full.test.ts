// Shares in simulated pools of 2 to 50 backends: who joins or recovers, and who fails faster than the others succeed.
import { describe, it } from 'vitest'
import { scaled } from '../../support/scale.ts'
import { expectNewcomerWithinShare, expectSinkAvoided, loadAware, sharing } from '../../support/simulation.ts'

/** A run grows with its size, and with slow start it is twice as long: that is left out at the greatest. */
const isRamped = (n: number): boolean => n <= 10
const sizes = scaled([2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50], [2, 5, 13])

describe.each(sharing)('under %s', (strategy) => {
  it.each(sizes)(
    'who joins or recovers stays within 1.2 × its share, n = %i: each window of 1,000 expected picks',
    async (n) => {
      await expectNewcomerWithinShare(strategy, n, false)
      if (isRamped(n)) await expectNewcomerWithinShare(strategy, n, true)
    },
    300_000,
  )
})

describe.each(loadAware)('under %s', (strategy) => {
  it.each(sizes)(
    'one of %i that fails fast is avoided: every window of 1,000 picks, 3σ, and 2 of 100 after 1 s',
    async (n) => {
      await expectSinkAvoided(strategy, n)
    },
    300_000,
  )
})
