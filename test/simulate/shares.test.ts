// Shares in simulated pools, a short form: who joins or recovers, and who fails faster than the others succeed.
import { describe, expect, it } from 'vitest'
import { expectNewcomerWithinShare, expectSinkAvoided, loadAware, sharing } from '../support/simulation.ts'

// 1.2 times the share is 6σ off for a backend that gets each pick with the chance of its share: 1,000 ± 32. One that exceeded
// it in one of 1,000 windows (one-sided 99.9 %) would have to be 3σ above its share in the mean of all windows.
describe.each(sharing)('under %s', (strategy) => {
  for (const n of [2, 4]) {
    for (const slowStart of [false, true]) {
      const start = slowStart ? 'with slow start' : 'without slow start'
      it(`who joins or recovers stays within 1.2 × its share, n = ${n}, ${start}: each window of 1,000 expected picks`, async () => {
        await expectNewcomerWithinShare(strategy, n, slowStart)
      })
    }
  }
})

describe.each(loadAware)('under %s', (strategy) => {
  it.each([2, 8])(
    'one of %i that fails fast is avoided: every window of 1,000 picks, 3σ, and 2 of 100 after 1 s',
    async (n) => {
      await expectSinkAvoided(strategy, n)
    },
  )
})

it('there is something to play', () => {
  expect(sharing).toContain('power-of-two')
  expect(loadAware).toContain('peak-ewma')
})
