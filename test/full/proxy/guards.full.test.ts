// Every guard of the hop is held by a test that fails without it; `npm test` shows that it passes with it.
import { afterAll, expect, it } from 'vitest'
import { copyOfSources } from '../../support/guarded.ts'
import { guards } from '../../support/guards.ts'
import { scaled } from '../../support/scale.ts'

const copy = copyOfSources()
afterAll(() => copy.remove())

// A part of them where it must not take long.
const shown = scaled(
  guards,
  guards.filter((_, i) => i % 4 === 0),
)

it.each(shown)('$rule', async (guard) => {
  const without = await copy.runWithout(guard)
  expect(without.ran, without.output).toBeGreaterThan(0)
  expect(without.failed, `${guard.test} passes without the guard`).toBeGreaterThan(0)
})
