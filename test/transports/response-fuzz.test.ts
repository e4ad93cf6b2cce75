// Hostile bytes through our parser of responses and those of Node and undici. A longer run: test/full/transports.
import { expect, it } from 'vitest'
import { takesNothingElse } from '../support/hostile-responses.ts'

it('takes no response that Node or undici refuses, and none for another one', async () => {
  const { ours, node } = await takesNothingElse(3000, 20_261)
  // Nor does it refuse much that can be read.
  expect(ours / node).toBeGreaterThan(0.8)
})
