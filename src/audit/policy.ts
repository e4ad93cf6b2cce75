// The policy: how much of each request is recorded, by ordered rules of which the first that matches counts.
import { z } from 'zod'
import { levels } from '../event-parts.ts'
import type { Level, TrafficFacts, TrafficName } from '../events.ts'
import { attemptResults, requestResults } from '../outcome.ts'
import { contains, listOf, rangeSchema } from '../ranges.ts'

const oneOrMore = <S extends z.ZodType>(one: S) => z.union([one, z.array(one).min(1)])

const path = z.string().regex(/^(\/[^*?#]*\*?|\*)$/, 'expected a path, or the beginning of one with * behind it')
const status = z.union([z.int().min(100).max(999), z.string().regex(/^[1-5]xx$/)], {
  error: 'expected a status such as 404, or a class such as 5xx',
})

const whenSchema = z.strictObject({
  /** Its method, in any case. */
  method: oneOrMore(z.string().min(1)).optional(),
  /**
   * What backends are asked for, without the query: a path, or the beginning of one with `*` behind. A path with a dot segment,
   * in any spelling, matches none: a backend may resolve it to another.
   */
  path: oneOrMore(path).optional(),
  /** What the client got: `404`, or a class: `'5xx'`. Does not match while the request is open. */
  status: oneOrMore(status).optional(),
  /** Who asked: an address or a CIDR range. */
  client: oneOrMore(rangeSchema).optional(),
  /** How it ended: a result code. Does not match while the request is open. */
  result: oneOrMore(z.enum([...new Set([...requestResults, ...attemptResults])])).optional(),
})

const ruleSchema = z
  .strictObject({
    /** Stands for the rule where it is counted what it left out. Default: its place, from 0. */
    name: z.string().min(1).max(64).optional(),
    level: z.enum(levels),
    /** All that stands here must match; of a list, one. Default: every request. */
    when: whenSchema.default({}),
    /** The part of the requests that went well that is recorded, 0 to 1. What failed always is. Default 1. */
    sample: z.number().min(0).max(1).optional(),
  })
  .refine(({ level, sample }) => level !== 'none' || sample === undefined, {
    path: ['sample'],
    message: "expected none with level 'none', which records nothing",
  })

/** The rest, beside the names of rules. */
const rest = 'default'

export const policySchema = z
  .strictObject({
    /** In their order: the first that matches counts. */
    rules: z.array(ruleSchema).max(256),
    /** The level of what matches no rule. Default `metadata`. */
    default: z.enum(levels).default('metadata'),
  })
  .superRefine(({ rules }, context) => {
    const labels = rules.map(labelOf)
    const twice = labels.find((label, i) => label === rest || labels.indexOf(label) !== i)
    if (twice !== undefined)
      context.addIssue({ code: 'custom', path: ['rules'], message: `expected distinct names, got ${twice} twice` })
  })
export type PolicyConfig = z.output<typeof policySchema>
type RuleConfig = PolicyConfig['rules'][number]

/** Whether some request may be left out, so that it could be forwarded without a record. */
export const leavesOut = ({ rules, default: others }: PolicyConfig): boolean =>
  others === 'none' || rules.some(({ level, sample = 1 }) => level === 'none' || sample < 1)

function labelOf({ name }: RuleConfig, at: number): string {
  return name ?? String(at)
}

interface Rule {
  readonly label: string
  readonly level: Level
  readonly matches: (facts: TrafficFacts) => boolean
  /** Of 2³²: ids whose hash is below are in the sample. */
  readonly share: number
}

export class Policy {
  readonly #rules: readonly Rule[]
  readonly #rest: Rule
  readonly #skipped = new Map<string, Map<TrafficName, number>>()

  constructor(config: PolicyConfig) {
    this.#rules = config.rules.map((rule, at) => ({
      label: labelOf(rule, at),
      level: rule.level,
      matches: matcherOf(rule.when),
      share: Math.round((rule.sample ?? 1) * 2 ** 32),
    }))
    this.#rest = { label: rest, level: config.default, matches: () => true, share: 2 ** 32 }
  }

  /** How much is recorded of this; for `none` nothing, and it is counted. To be asked once for each event. */
  level(name: TrafficName, facts: TrafficFacts): Level {
    const rule = this.#rules.find(({ matches }) => matches(facts)) ?? this.#rest
    if (rule.level !== 'none' && (facts.failed || rule.share === 2 ** 32 || hashOf(facts.id) < rule.share))
      return rule.level
    let counts = this.#skipped.get(rule.label)
    if (counts === undefined) {
      counts = new Map()
      this.#skipped.set(rule.label, counts)
    }
    counts.set(name, (counts.get(name) ?? 0) + 1)
    return 'none'
  }

  /** What was left out so far, by rule and event; undefined if nothing was. */
  get skipped(): Record<string, Record<string, number>> | undefined {
    if (this.#skipped.size === 0) return undefined
    return Object.fromEntries([...this.#skipped].map(([label, counts]) => [label, Object.fromEntries(counts)]))
  }
}

type When = RuleConfig['when']

function matcherOf(when: When): Rule['matches'] {
  const tests: Rule['matches'][] = []
  const methods = listed(when.method).map((method) => method.toUpperCase())
  const paths = listed(when.path)
  const statuses = listed(when.status).map(String)
  const clients = listOf(listed(when.client))
  const results: readonly string[] = listed(when.result)
  if (methods.length > 0) tests.push(({ method }) => methods.includes(method))
  if (statuses.length > 0)
    tests.push(({ status }) => status !== undefined && statuses.some((one) => isOf(one, String(status))))
  if (results.length > 0) tests.push(({ result }) => result !== undefined && results.includes(result))
  if (paths.length > 0) tests.push(({ path }) => paths.some((one) => isBelow(one, path)) && !dotSegment.test(path))
  if (clients !== undefined) tests.push(({ client }) => contains(clients, client))
  return (facts) => tests.every((test) => test(facts))
}

const listed = <T>(given: T | readonly T[] | undefined): readonly T[] =>
  given === undefined ? [] : Array.isArray(given) ? given : [given as T]

const isOf = (wanted: string, status: string): boolean =>
  wanted.endsWith('xx') ? status[0] === wanted[0] : status === wanted

const isBelow = (wanted: string, path: string): boolean =>
  wanted.endsWith('*') ? path.startsWith(wanted.slice(0, -1)) : path === wanted

/** A segment `.` or `..`, as any backend may read one: with escapes, backslashes, or parameters behind it. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|%3b|$)/i

/** 32 bits of an id: FNV-1a (Fowler, Noll, Vo), finished by the mixer of MurmurHash3 (Austin Appleby, public domain). */
function hashOf(id: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
