// A retry that the budget permits reaches an untried eligible backend whenever there is one: every mix of up to five.
import { describe, it } from 'vitest'
import { check, kinds, mixes, pools } from '../../support/mixes.ts'
import { scaled } from '../../support/scale.ts'

describe.each([
  ['GET', scaled([3, 4, 5], [3])],
  ['POST', scaled([3, 4], [3])],
] as const)('%s and backends that answer, refuse, reset, stall and are busy', (method, sizes) => {
  // A test for each beginning: servers are closed with their test.
  for (const n of sizes)
    it.each(kinds)(`${n} of them, the first of which %s: all mixes`, { timeout: 300_000 }, async (first) => {
      const pool = await pools()
      for (const mix of mixes(n - 1)) await check([first, ...mix], pool, method)
    })
})
