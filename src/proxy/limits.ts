// How large a request may be. What is larger is refused before anything of it goes on, or as soon as it shows.
import { z } from 'zod'

export const limitsSchema = z.strictObject({
  /** The most bytes of a request's body: more is 413 `too-large`. Default unlimited. */
  bodyBytes: z.int().min(0).optional(),
  /** The most bytes of a request target, path and query together: more is 414 `target-too-long`. Default 8,192. */
  targetBytes: z.int().min(1).max(1_048_576).default(8192),
  /** The most header lines of a request: more is 431 `headers-too-large`. Default 100. */
  headers: z.int().min(1).max(1000).default(100),
  /** The most bytes of all header lines of a request: more is 431 `headers-too-large`. Default 16,384. */
  headerBytes: z.int().min(1).max(1_048_576).default(16_384),
})
export type LimitsConfig = z.output<typeof limitsSchema>
