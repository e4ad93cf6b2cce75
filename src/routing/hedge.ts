// When a request that waits for its response goes to a second backend too.
import { z } from 'zod'

/** How many more attempts may run beside the first one. Default 1. */
const max = z.int().min(1).max(5).default(1)

const byDelay = z.strictObject({
  /** How long a response may take before another backend is asked too, in ms. */
  delayMs: z.int().min(1).max(600_000),
  max,
})

const byPercentile = z.strictObject({
  /** The same, as a percentile of what responses of the pool took lately, 50 to 99. Nothing is hedged until 100 are known. */
  percentile: z.int().min(50).max(99),
  /** The shortest delay that a percentile can give, in ms. Default 10. */
  minDelayMs: z.int().min(1).max(600_000).default(10),
  max,
})

export const hedgeSchema = z.union([byDelay, byPercentile])
export type HedgeConfig = z.output<typeof hedgeSchema>
