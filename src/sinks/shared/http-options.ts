// The options of httpSink.
import { z } from 'zod'
import { tlsSchema } from '../../tls.ts'
import { type Format, type FormatName, formatNames, named } from '../formats/index.ts'
import { mapSchema } from '../formats/mapping.ts'
import { feedShape, nameSchema } from './options.ts'

type Headers = Readonly<Record<string, string>>

const isFunction = (value: unknown): boolean => typeof value === 'function'

/** Its own rules say what is wrong: what was given may hold a password, which such a fault does not show. */
const url = z
  .string()
  .refine((given) => /^https?:\/\/./.test(given) && URL.canParse(given), {
    error: 'expected an http:// or https:// URL',
    abort: true,
  })
  .refine((given) => new URL(given).username === '' && new URL(given).password === '', {
    error: 'expected no name and no password: give them in `headers`',
  })

/** How a sink posts. */
export const postShape = {
  /** Where batches are posted: an http:// or https:// URL without a name or a password. Redirects are not followed. */
  url,
  /** Headers of each post, or a function, which may be async, that makes them anew for each: for tokens that expire. Default none. */
  headers: z
    .union([z.record(z.string(), z.string()), z.custom<() => Headers | Promise<Headers>>(isFunction)], {
      error: 'expected an object of texts, or a function that returns one',
    })
    .default({}),
  /** `gzip` compresses each body. Default `none`. */
  compress: z.enum(['none', 'gzip']).default('none'),
  /** How TLS is spoken, as to backends. */
  tls: tlsSchema.optional(),
  /** The name that the collector's certificate must be for. Default the host of the URL. */
  serverName: z.string().min(1).optional(),
}

interface Secured {
  readonly url: string
  readonly tls?: unknown
  readonly serverName?: unknown
}

/** Says which options of TLS are given for an address without it. */
export function checkSecurity({ url: given, tls, serverName }: Secured, problem: Problem): void {
  if (given.startsWith('https:')) return
  for (const [part, value] of Object.entries({ tls, serverName }))
    if (value !== undefined) problem(part, 'expected only with an https:// URL')
}

type Problem = (part: string, message: string) => void

const { url: address, ...posted } = postShape

export const httpSinkSchema = z
  .strictObject({
    // The order is that in which problems are told.
    url: address,
    /** The sink's name in faults, gaps and cursors. Default `http`. */
    name: nameSchema.default('http'),
    /** What a batch becomes: a format by name, or a function of your own, `(batch) => ({ contentType, body })`. Default `ndjson`. */
    format: z
      .union([z.enum(formatNames), z.custom<Format>(isFunction)], {
        error: `expected ${formatNames.join(' or ')}, or a function`,
      })
      .default('ndjson'),
    /**
     * In whose words events are told: `line` as they are in the log, `ecs`, `ocsf`, `otel`, or by a function `(event, line) => JSON`.
     * Default `ecs` for `elasticsearch`, `otel` for `otlp`, which takes no other, and `line` for the rest.
     */
    map: mapSchema,
    ...posted,
    ...feedShape,
  })
  .superRefine(({ format, map, batchLines, batchBytes, ...others }, context) => {
    const problem: Problem = (part, message) => context.addIssue({ code: 'custom', path: [part], message })
    checkSecurity(others, problem)
    if (typeof format === 'function') {
      if (map !== undefined) problem('map', 'expected only with a format by name')
      return
    }
    if (format === 'otlp' && map !== undefined && map !== 'otel') problem('map', 'expected nothing but otel with otlp')
    const { mostLines = batchLines, mostBytes = batchBytes ?? 0 } = named[format as FormatName]
    if (batchLines > mostLines) problem('batchLines', `expected at most ${mostLines} with ${format}`)
    if ((batchBytes ?? 0) > mostBytes) problem('batchBytes', `expected at most ${mostBytes} with ${format}`)
  })

export type HttpSinkOptions = z.input<typeof httpSinkSchema>
export type HttpConfig = z.output<typeof httpSinkSchema>
