// The heavy statistics of test/full, apart from the tests of every day.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/full/**/*.full.test.ts'],
    reporters: ['default', './test/support/closing-line.ts'],
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
})
