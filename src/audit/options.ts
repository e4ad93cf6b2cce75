// The options of an audit trail.
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { instanceSchema, keyFileSchema } from '../log/options.ts'
import type { Random } from '../random.ts'
import type { Logger } from '../runtime.ts'
import { isStore, type Sink } from '../sink.ts'
import { enrichSchema } from './enrich.ts'
import { keepsBack } from './filter.ts'
import { leavesOut, policySchema } from './policy.ts'
import { redactSchema } from './redact.ts'
import { serviceSchema } from './service.ts'
import { hasFunctions, report, sinkSchema } from './sink-schema.ts'

const completed = 'request.completed' as const

export const auditSchema = z
  .strictObject({
    /** The service in every line and in the name of the log's key. `OTEL_SERVICE_NAME` goes first. Default: the balancer's name. */
    service: serviceSchema.optional(),
    /** Where lines go, besides the bus. At most one may be a file sink: it is the log itself. Default none. */
    sinks: z.array(sinkSchema).default([]),
    /** The writer's name where there is no file sink, which has its own. Default `<host>.<pid>`. */
    instance: instanceSchema.optional(),
    /**
     * Who signs the checkpoints where there is no file sink, which has its own: a private Ed25519 key, PKCS #8 PEM, read at the
     * start. Default one that lives as long as the process.
     */
    key: z.strictObject({ file: keyFileSchema }).optional(),
    redact: redactSchema.prefault({}),
    /** How much of each request is recorded. Default: headers and query of all, as `redact` says. */
    policy: policySchema.optional(),
    /** Called once for each request that is recorded: what it returns stands under `app`. See {@link Enrich}. */
    enrich: enrichSchema.optional(),
    /**
     * How many bytes of lines wait in memory for sinks, all together, where there is no file sink or while it cannot be opened; what
     * is more goes, the oldest first, into an exact gap of each sink that had not got it. Default 32 MiB.
     */
    queueBytes: z
      .int()
      .min(65_536)
      .default(32 << 20),
    /**
     * What happens to requests while the log cannot be written. `drop` serves them, and counts what is missing in an
     * `audit.gap`. `refuse` answers 503: nothing is forwarded that was not recorded first; it needs a file sink with
     * `durability: 'group'` or `'remote'`. Default `drop`.
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
        report('expected an object with functions `warn` and `error`'),
      )
      .optional(),
    /** Time, for tests. */
    clock: z
      .custom<Clock>(
        (value) => hasFunctions(value, 'now', 'monoUs', 'after'),
        report('expected an object with functions `now`, `monoUs`, `after`'),
      )
      .optional(),
    /** Chance, for tests. */
    random: z
      .custom<Random>((value) => hasFunctions(value, 'uint32'), report('expected an object with a function `uint32`'))
      .optional(),
  })
  .superRefine(
    (options, context) => {
      // Runs also when some part is not valid, so that everything is told at once.
      const sinks = Array.isArray(options.sinks)
        ? options.sinks.filter((sink) => sinkSchema.safeParse(sink).success)
        : []
      const stores = sinks.filter(isStore)
      const names = sinks.filter((sink) => !isStore(sink)).map((sink) => sink.name)
      if (stores[0] !== undefined) names.push(stores[0].name)
      const twice = names.find((name, i) => names.indexOf(name) !== i)
      const problem = (part: string, message: string) => context.addIssue({ code: 'custom', path: [part], message })
      if (stores.length > 1) problem('sinks', `expected at most one file sink, got ${stores.length}`)
      for (const part of ['instance', 'key'] as const)
        if (stores.length > 0 && options[part] !== undefined)
          problem(part, 'is for a trail without a file sink: give it to fileSink')
      if (twice !== undefined) problem('sinks', `expected distinct names, got ${JSON.stringify(twice)} twice`)
      const durability = stores[0]?.durability
      if (options.whenUnavailable === 'refuse' && durability !== 'group' && durability !== 'remote')
        problem('whenUnavailable', "'refuse' needs a file sink with durability 'group' or 'remote'")
      const remote = durability === 'remote' ? stores[0]?.remote : undefined
      const awaited = sinks.find((sink): sink is Sink => !isStore(sink) && sink.name === remote)
      if (durability === 'remote' && awaited === undefined)
        problem('sinks', `durability 'remote' waits for a sink named ${JSON.stringify(remote)}, and there is none`)
      // Before the hop nothing waits but where nothing may be forwarded that is not recorded.
      const waiting = options.whenUnavailable === 'refuse' ? (['request.received', completed] as const) : [completed]
      const kept = awaited === undefined ? undefined : waiting.find((name) => keepsBack(awaited.filter, name))
      if (kept !== undefined)
        problem('sinks', `durability 'remote' waits for ${JSON.stringify(remote)}, whose filter keeps ${kept} from it`)
      const policy = policySchema.optional().safeParse(options.policy).data
      if (options.whenUnavailable === 'refuse' && policy !== undefined && leavesOut(policy))
        problem('policy', "'refuse' forwards nothing that was not recorded: it takes no level 'none' and no sample")
    },
    { when: ({ value }) => typeof value === 'object' && value !== null },
  )

export type AuditOptions = z.input<typeof auditSchema>
export type AuditConfig = z.output<typeof auditSchema>
