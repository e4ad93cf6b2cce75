// Which events a reader asks for.
import { BlockList, isIP } from 'node:net'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { BalancerError } from '../errors.ts'
import { eventNameSchema } from '../event-name.ts'
import { nearest } from '../nearest.ts'
import { attemptResults, requestResults } from '../outcome.ts'
import { parseOptions } from '../parse.ts'
import { type LogName, logNames } from '../sink.ts'
import { type LoggedEvent, member } from './envelope.ts'
import { timeTest } from './time-test.ts'

const name = z.string().min(1)
/** What was expected, and what came: a filter is no secret. */
const expected = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) => {
    const shown = String(input)
    return `expected ${what}, got ${JSON.stringify(shown.length > 64 ? `${shown.slice(0, 64)}…` : shown)}`
  },
})

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const rfc3339 = /^\d{4}-\d\d-\d\d([Tt]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d))?$/

const instant = z
  .string()
  .refine(
    (text) => /^\d+[smhd]$/.test(text) || (rfc3339.test(text) && !Number.isNaN(Date.parse(text))),
    expected('a time such as 2026-01-31T12:00:00Z, or a duration such as 30m, 1h or 7d'),
  )

const subnet = (text: string): { address: string; bits: number; family: 'ipv4' | 'ipv6' } | undefined => {
  const [address = '', prefix, ...rest] = text.split('/')
  const version = isIP(address)
  const longest = version === 4 ? 32 : 128
  const bits = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  if (version === 0 || rest.length > 0 || !(bits <= longest)) return undefined
  return { address, bits, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** One of these names. */
const oneOf = <N extends string>(what: string, names: readonly N[]) =>
  z.custom<N>((value) => names.includes(value as N), {
    error({ input }) {
      if (typeof input !== 'string') return 'expected text'
      if (input.length > 128) return 'expected text of at most 128 characters'
      return `there is no ${what} ${JSON.stringify(input)}; the nearest is ${JSON.stringify(nearest(input, names))}`
    },
  })
const results = [...new Set<string>([...requestResults, ...attemptResults])]

const isPseudonym = (text: string): boolean => /^p:\d{4}-\d\d:[0-9a-f]{32}$/.test(text)

// All of them are in memory at a time.
const mostLast = 10_000

export const logFilterSchema = z.strictObject({
  /** Name of the event, or the beginning of it with a `*` behind: `audit.*`. */
  type: eventNameSchema.optional(),
  /** The log that the event is in. */
  log: oneOf('log', logNames).optional(),
  /** RFC 3339, or a duration back from now. The time itself is included. */
  since: instant.optional(),
  /** RFC 3339, or a duration back from now. The time itself is left out. */
  until: instant.optional(),
  /** Id of a backend that was chosen, tried, or is what the event is about. */
  backend: name.optional(),
  /** `503`, or a class: `5xx`. */
  status: z
    .string()
    .regex(/^([1-9]\d\d|[1-5]xx)$/, expected('a status such as 503, or a class such as 5xx'))
    .optional(),
  /** Address, or network in CIDR form, as records have them; or a pseudonym (`redact.client`). */
  client: z
    .string()
    .refine(
      (text) => isPseudonym(text) || subnet(text) !== undefined,
      expected('an address, a network such as 10.0.0.0/8, or a pseudonym such as p:2026-11:…'),
    )
    .optional(),
  /** Path that the client asked for, or that is left of it below a mount; or the beginning of one with a `*` behind. */
  path: name.optional(),
  /** Id of an actor. */
  actor: name.optional(),
  requestId: name.optional(),
  /** Revision of the configuration that was in force. */
  revision: z.int().min(0).optional(),
  /** Result code: `connect-refused`. */
  result: oneOf('result', results).optional(),
  /** Name of a balancer. */
  pool: name.optional(),
  /** At most this many events. */
  limit: z.int().min(1).optional(),
  /** The last so many of those that match, 10,000 at most, in the same order. Not with `limit`. */
  last: z.int().min(1).max(mostLast).optional(),
})

export type LogFilters = z.input<typeof logFilterSchema>

export interface EventFilter {
  readonly matches: (event: LoggedEvent) => boolean
  /** Whether the event of a line can match, by its bytes: a test that spares parsing. */
  readonly mayMatch: (line: Buffer) => boolean
  /** The log that is asked for; undefined for all. */
  readonly log: LogName | undefined
  readonly limit: number
  /** Undefined where all of them count. */
  readonly last: number | undefined
}

type Test = (event: LoggedEvent) => boolean

/** Throws `config-invalid` that names each filter that is not valid. */
export function parseFilters(filters: LogFilters, clock: Clock): EventFilter {
  const given = parseOptions(logFilterSchema, filters, 'the query')
  if (given.limit !== undefined && given.last !== undefined) {
    const problem = { path: 'last', message: 'expected nothing, with a limit' }
    throw new BalancerError('config-invalid', `the query: last: ${problem.message}`, { problems: [problem] })
  }
  const time = (text: string): number => {
    const unit = units[text.at(-1) as keyof typeof units]
    return unit === undefined || text.includes('-') ? Date.parse(text) : clock.now() - Number(text.slice(0, -1)) * unit
  }
  const since = given.since === undefined ? -Infinity : time(given.since)
  const until = given.until === undefined ? Infinity : time(given.until)
  const tests: Test[] = []
  /** Bytes that the line of each matching event contains. */
  const needles: Buffer[] = []
  const lineTests = [(line: Buffer) => needles.every((needle) => line.includes(needle))]
  const equal = (value: string | number | undefined, ...places: string[][]): void => {
    if (value === undefined) return
    tests.push((event) => places.some((place) => member(event, ...place) === value))
    needles.push(Buffer.from(JSON.stringify(value)))
  }
  const like = (pattern: string | undefined, ...places: string[][]): void => {
    if (pattern?.endsWith('*')) {
      const start = pattern.slice(0, -1)
      tests.push((event) => places.some((place) => String(member(event, ...place) ?? '').startsWith(start)))
    } else equal(pattern, ...places)
  }
  if (since > -Infinity || until < Infinity) {
    lineTests.push(timeTest(since, until))
    tests.push((event) => {
      const at = timeOf(event)
      return at >= since && at < until
    })
  }
  like(given.type, ['event_name'])
  like(given.path, ['url', 'path'], ['url', 'original_path'])
  equal(given.actor, ['actor', 'id'])
  equal(given.requestId, ['lb', 'request_id'])
  equal(given.revision, ['lb', 'config_revision'], ['config', 'revision'])
  equal(given.result, ['lb', 'result'])
  equal(given.pool, ['lb', 'pool'])
  if (given.backend !== undefined) {
    const { backend } = given
    needles.push(Buffer.from(JSON.stringify(backend)))
    tests.push((event) => isAbout(event, backend))
  }
  if (given.status !== undefined) {
    const pattern = new RegExp(`^${given.status.replace('xx', '\\d\\d')}$`)
    tests.push((event) => pattern.test(String(member(event, 'http', 'response', 'status_code'))))
  }
  if (given.client !== undefined && isPseudonym(given.client)) equal(given.client, ['client', 'address'])
  const network = given.client === undefined ? undefined : subnet(given.client)
  if (network !== undefined) {
    const list = new BlockList()
    list.addSubnet(network.address, network.bits, network.family)
    tests.push((event) => {
      const address = String(member(event, 'client', 'address') ?? member(event, 'network', 'peer', 'address') ?? '')
      const version = isIP(address)
      return version !== 0 && list.check(address, version === 4 ? 'ipv4' : 'ipv6')
    })
  }
  const matches = (event: LoggedEvent): boolean => tests.every((test) => test(event))
  const mayMatch = (line: Buffer): boolean => lineTests.every((test) => test(line))
  return { matches, mayMatch, log: given.log, limit: given.limit ?? Infinity, last: given.last }
}

const backendPlaces: readonly (readonly string[])[] = [
  ['lb', 'decision', 'backend'],
  ['lb', 'backend'],
  ['backend', 'id'],
  ['config', 'attempted', 'backend'],
]

/** Whether a backend was chosen or tried, or the event tells of it or of a change to it. */
function isAbout(event: LoggedEvent, backend: string): boolean {
  if (backendPlaces.some((place) => member(event, ...place) === backend)) return true
  const attempts = member(event, 'lb', 'attempts')
  if (Array.isArray(attempts) && attempts.some((attempt) => attempt?.backend === backend)) return true
  const summaries = member(event, 'lb', 'backends')
  if (Array.isArray(summaries) && summaries.some((summary) => summary?.id === backend)) return true
  return ['before', 'after'].some((side) => member(event, 'config', side, 'backends', backend) !== undefined)
}

/** When an event happened, in ms since the epoch; NaN if it does not say. */
export const timeOf = (event: LoggedEvent): number => Date.parse(String(member(event, 'time')))
