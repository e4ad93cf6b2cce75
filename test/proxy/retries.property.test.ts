// A retry that the budget permits reaches an untried eligible backend whenever there is one; of larger mixes a sample.
import { describe, it } from 'vitest'
import { below, seededRandom } from '../../src/random.ts'
import { check, kinds, mixes, pools } from '../support/mixes.ts'

describe.each(['GET', 'POST'] as const)('%s and backends that answer, refuse, reset, stall and are busy', (method) => {
  it.each([1, 2])('%i of them: all mixes', async (n) => {
    const pool = await pools()
    for (const mix of mixes(n)) await check(mix, pool, method)
  })

  it('3 to 5 of them: 30 mixes by seed', async () => {
    const pool = await pools()
    const random = seededRandom(13)
    for (let i = 0; i < 30; i++) {
      const mix = Array.from({ length: 3 + below(random, 3) }, () => kinds[below(random, kinds.length)]!)
      await check(mix, pool, method)
    }
  })
})
