// The feed: how a sink wants its lines, checked, and what it gets where it does not say.
import { z } from 'zod'

const count = z.int().min(1)
/** More than a day could overflow a timer, which would then fire at once. */
const ms = z.int().min(1).max(86_400_000)

/** The defaults are those that the contract of a sink names. */
export const feedSchema = z
  .strictObject({
    lines: count.default(500),
    bytes: count.default(1 << 20),
    intervalMs: ms.default(1000),
    timeoutMs: ms.default(10_000),
    from: z.enum(['now', 'oldest']).default('now'),
  })
  .prefault({})
