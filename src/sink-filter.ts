// The filter of a sink as it is given: which lines it gets.
import { z } from 'zod'
import { eventNameSchema } from './event-name.ts'
import { type LineEvent, logNames } from './sink.ts'

export const filterSchema = z.union(
  [
    z.strictObject({
      /** Lines of these logs. Default all three. */
      logs: z.array(z.enum(logNames)).min(1).optional(),
      /** Events of these names; with a `*` at the end, of all names that begin so. Default all. */
      events: z.array(eventNameSchema).min(1).optional(),
      /** Events of this severity number or above. Default all. */
      severity: z.int().min(1).max(24).optional(),
    }),
    z.custom<(event: LineEvent) => boolean>((value) => typeof value === 'function'),
  ],
  { error: 'expected a function, or an object with `logs`, `events` or `severity`' },
)
