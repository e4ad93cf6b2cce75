// The same as in test/transports, with many more responses.
import { expect, it } from 'vitest'
import { takesNothingElse } from '../../support/hostile-responses.ts'
import { scaled } from '../../support/scale.ts'

it('takes no response that Node or undici refuses, and none for another one', async () => {
  const { ours, node } = await takesNothingElse(scaled(150_000, 5_000), 20_262)
  console.log({ ours, node })
  expect(ours / node).toBeGreaterThan(0.8)
})
