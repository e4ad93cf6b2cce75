// The options of an audit trail.
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { Logger } from '../runtime.ts'
import { type AnySink, isStore } from '../sink.ts'
import { redactSchema } from './redact.ts'

const hasFunctions = (value: unknown, ...names: string[]): boolean =>
  typeof value === 'object' &&
  value !== null &&
  names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')

export const sinkSchema = z.custom<AnySink>(
  (value) => hasFunctions(value, 'write') || hasFunctions(value, 'append', 'durable', 'open', 'close'),
  'expected a sink: an object with `name` and a function `write`',
)

export const auditSchema = z
  .strictObject({
    /** The service in every line and in the name of the log's key. `OTEL_SERVICE_NAME` goes first. Default: the balancer's name. */
    service: z
      .string()
      .regex(/^[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 of the characters A-Z a-z 0-9 . _ -')
      .optional(),
    /** Where lines go, besides the bus. At most one may be a file sink: it is the log itself. Default none. */
    sinks: z.array(sinkSchema).default([]),
    redact: redactSchema.prefault({}),
    /**
     * What happens to requests while the log cannot be written. `drop` serves them, and counts what is missing in an
     * `audit.gap`. `refuse` answers 503: nothing is forwarded that was not recorded first; it needs a file sink with
     * `durability: 'group'`. Default `drop`.
     */
    whenUnavailable: z.enum(['drop', 'refuse']).default('drop'),
    /** Where this node runs, for every line. */
    cloud: z
      .strictObject({ region: z.string().max(64).optional(), availability_zone: z.string().max(64).optional() })
      .optional(),
    /** Is told of each fault once: a pino-like object. Default: JSON lines to stderr. */
    logger: z
      .custom<Logger>(
        (value) => hasFunctions(value, 'warn', 'error'),
        'expected an object with functions `warn` and `error`',
      )
      .optional(),
    /** Time, for tests. */
    clock: z.custom<Clock>((value) => hasFunctions(value, 'now', 'monoUs', 'after')).optional(),
    /** Chance, for tests. */
    random: z.custom<Random>((value) => hasFunctions(value, 'uint32')).optional(),
  })
  .superRefine((options, context) => {
    const stores = options.sinks.filter(isStore)
    if (stores.length > 1) {
      context.addIssue({
        code: 'custom',
        path: ['sinks'],
        message: `expected at most one file sink, got ${stores.length}`,
      })
    }
    if (options.whenUnavailable === 'refuse' && stores[0]?.durability !== 'group') {
      context.addIssue({
        code: 'custom',
        path: ['whenUnavailable'],
        message: "'refuse' needs a file sink with durability 'group'",
      })
    }
    const names = options.sinks.map((sink) => sink.name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) {
      context.addIssue({
        code: 'custom',
        path: ['sinks'],
        message: `expected distinct names, got ${JSON.stringify(twice)} twice`,
      })
    }
  })

export type AuditOptions = z.input<typeof auditSchema>
export type AuditConfig = z.output<typeof auditSchema>
