import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Run by vitest.full.config.ts.
    exclude: ['test/full/**'],
    // Half of the time a test waits: on two cores one file at a time would leave them idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // Prints the closing line after vitest's own summary.
    reporters: ['default', './test/support/closing-line.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**/*.ts'],
      reporter: ['text-summary'],
      thresholds: { lines: 85, functions: 85, branches: 80 },
    },
  },
})
