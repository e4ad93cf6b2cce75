// The options of discovery: where further backends come from.
import { isIP } from 'node:net'
import { z } from 'zod'
import { type BackendOptions, backendTraits, isHostName } from '../backend.ts'
import type { SourceLabel } from '../discovery.ts'

type Sets = AsyncIterable<readonly BackendOptions[]>
/** An async iterable of whole sets, or a function that makes one; the signal is aborted when it is not wanted any more. */
type SetsFrom = Sets | ((signal: AbortSignal) => Sets | Promise<Sets>)

const setsFrom = z.custom<SetsFrom>(
  (value) =>
    typeof value === 'function' || (typeof value === 'object' && value !== null && Symbol.asyncIterator in value),
  'expected an async iterable, or a function that returns one',
)

/** Whether an empty set is taken over. Default false: it is taken for a fault, and the last good set is kept. */
const allowEmpty = z.boolean().default(false)

const nameServer = (text: string): boolean => {
  if (isIP(text) !== 0) return true
  const [, v6, v4, port = '53'] = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text) ?? []
  return (isIP(v6 ?? '') === 6 || isIP(v4 ?? '') === 4) && Number(port) > 0 && Number(port) < 65_536
}

const dnsSchema = z
  .strictObject({
    type: z.literal('dns'),
    /** The name that is asked for. */
    name: z.string().refine(isHostName, 'expected a DNS name'),
    /** Which records are asked for. Default: A and AAAA, and the backends of both. */
    record: z.enum(['A', 'AAAA', 'SRV']).optional(),
    /** The port of the backends; SRV records have their own. Default that of `protocol`. */
    port: z.int().min(1).max(65_535).optional(),
    /** How they are spoken to. Default `http`. */
    protocol: z.enum(['http', 'https']).default('http'),
    // SRV records have weights of their own, and their priorities count from the level given here.
    ...backendTraits,
    /** The shortest time from an answer to the next question, in ms, however short the TTL. Default 1,000. */
    minTtlMs: z.int().min(10).max(3_600_000).default(1000),
    /** The longest time, in ms, however long the TTL. Default 300,000. */
    maxTtlMs: z.int().min(10).max(86_400_000).default(300_000),
    /** Time between questions for SRV records, whose TTL Node does not tell, in ms. Default 30,000. */
    srvTtlMs: z.int().min(10).max(86_400_000).default(30_000),
    /** How long a name server may take to answer, in ms; each is asked twice. Default 2,000. */
    timeoutMs: z.int().min(10).max(60_000).default(2000),
    /** Name servers: addresses, with a port where it is not 53. Default those of the system. */
    servers: z
      .array(z.string().refine(nameServer, 'expected an IP address, or one with a port such as 127.0.0.1:5353'))
      .min(1)
      .readonly()
      .optional(),
    allowEmpty,
  })
  .refine(({ minTtlMs, maxTtlMs }) => minTtlMs <= maxTtlMs, {
    path: ['minTtlMs'],
    message: 'expected `minTtlMs` not above `maxTtlMs`',
  })
  .refine(({ record, port }) => record !== 'SRV' || port === undefined, {
    path: ['port'],
    message: 'expected no port: SRV records have their own',
  })

const fileSchema = z.strictObject({
  type: z.literal('file'),
  /** A file of JSON: a list of backends, or an object with such a list as `backends`. */
  path: z.string().min(1).max(4096),
  /** Time between two looks at the file, in ms: the net below the system's notices, which miss some changes. Default 2,000. */
  intervalMs: z.int().min(10).max(3_600_000).default(2000),
  allowEmpty,
})

const iterableSchema = z.strictObject({
  type: z.literal('iterable'),
  /** An async iterable of lists of backends, each the whole set; or a function that makes one. */
  from: setsFrom,
  /** What events call it. Default `iterable`. */
  name: z
    .string()
    .regex(/^[A-Za-z0-9._:/-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ : / -')
    .default('iterable'),
  allowEmpty,
})

const sourceSchema = z.union([
  setsFrom.transform((from) => iterableSchema.parse({ type: 'iterable', from })),
  z.discriminatedUnion('type', [dnsSchema, fileSchema, iterableSchema], {
    error: 'expected a source: an object with `type` "dns", "file" or "iterable", or an async iterable',
  }),
])

export type DnsOptions = z.output<typeof dnsSchema>
export type FileOptions = z.output<typeof fileSchema>
export type IterableOptions = z.output<typeof iterableSchema>
export type SourceOptions = z.output<typeof sourceSchema>
/** One source of backends. */
export type DiscoveryOptions = z.input<typeof sourceSchema>

/** One source, or a list of them. The first that finds an id owns it. */
export const discoverySchema = z.union([
  z.array(sourceSchema).max(16).readonly(),
  sourceSchema.transform((source) => [source]),
])

export const labelOf = (options: SourceOptions): SourceLabel => ({
  source: options.type,
  of: options.type === 'file' ? options.path.toWellFormed() : options.name,
})

/** Whether two sources are the same one: then it goes on as it is. */
export function isSameSource(a: SourceOptions, b: SourceOptions): boolean {
  const from = (options: SourceOptions): unknown => (options.type === 'iterable' ? options.from : undefined)
  return from(a) === from(b) && JSON.stringify({ ...a, from: 0 }) === JSON.stringify({ ...b, from: 0 })
}
