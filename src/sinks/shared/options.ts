// Options that sinks have in common.
import { z } from 'zod'
import type { Feed, Sink } from '../../sink.ts'
import { filterSchema } from '../../sink-filter.ts'

/** The sink's name in faults, gaps and cursors. */
export const nameSchema = z.string().min(1).max(128)

/** How a sink that sends over a network is fed. */
export const feedShape = {
  /** Which lines a sink gets. Default all. */
  filter: filterSchema.optional(),
  /**
   * Where a sink begins that the log does not know by its name: with the lines from now on, or with the oldest that are there.
   * Default `now`.
   */
  from: z.enum(['now', 'oldest']).default('now'),
  /** Most lines of a batch. Default 500. */
  batchLines: z.int().min(1).max(100_000).default(500),
  /** Most bytes of a batch, unless one line alone is longer. */
  batchBytes: z
    .int()
    .min(1024)
    .max(64 << 20)
    .optional(),
  /** How long a line waits for others, in ms. Default 1,000. */
  intervalMs: z.int().min(1).max(60_000).default(1000),
  /** How long a write may take, in ms. Default 10,000. */
  timeoutMs: z.int().min(1).max(600_000).default(10_000),
}

interface FeedOptions extends Pick<Feed, 'from' | 'intervalMs' | 'timeoutMs'> {
  readonly name: string
  readonly filter?: z.output<typeof filterSchema> | undefined
  readonly batchLines: number
  readonly batchBytes?: number | undefined
}

/** The members of a sink that its options settle. */
export function fedBy(options: FeedOptions, bytes = 1 << 20): Pick<Sink, 'name' | 'feed' | 'filter'> {
  const { name, filter, from, batchLines, batchBytes = bytes, intervalMs, timeoutMs } = options
  return {
    name,
    feed: { lines: batchLines, bytes: batchBytes, intervalMs, timeoutMs, from },
    ...filtered(filter),
  }
}

export const filtered = (filter: z.output<typeof filterSchema> | undefined): Pick<Sink, 'filter'> =>
  filter === undefined ? {} : { filter: filter as NonNullable<Sink['filter']> }
