// The whole configuration, assembled from the parts' own schemas.
import { z } from 'zod'
import { accessSchema } from './access/addresses.ts'
import { trustSchema } from './access/trust.ts'
import type { Audit } from './audit/audit.ts'
import { type AuditOptions, auditSchema } from './audit/options.ts'
import { serviceSchema } from './audit/service.ts'
import { Trail } from './audit/trail.ts'
import { type BackendOptions, backendsSchema } from './backend.ts'
import type { Clock } from './clock.ts'
import type { Authorize } from './control/authorize.ts'
import { kept, nothingSet, type PoolPart } from './control/standing.ts'
import { discoverySchema } from './discovery/options.ts'
import { passiveSchema } from './health/passive.ts'
import { activeSchema } from './health/probe-options.ts'
import { parseOptions, type Reading, read } from './parse.ts'
import { forwardedSchema } from './proxy/forwarded.ts'
import { headersSchema } from './proxy/header-rules.ts'
import { limitsSchema } from './proxy/limits.ts'
import { mirrorSchema } from './proxy/mirror.ts'
import { hostSchema } from './proxy/outgoing-options.ts'
import { pathSchema } from './proxy/path-rules.ts'
import { upgradesSchema } from './proxy/upgrade.ts'
import type { Random } from './random.ts'
import { affinitySchema } from './routing/affinity.ts'
import { hedgeSchema } from './routing/hedge.ts'
import { localitySchema, splitSchema } from './routing/plan.ts'
import { panicSchema } from './routing/pool.ts'
import { slowStartSchema } from './routing/ramp.ts'
import { retrySchema } from './routing/retry.ts'
import { traceRateSchema } from './routing/router.ts'
import { queueSchema } from './routing/waiting.ts'
import { type StrategyOptions, strategySchema } from './strategies/index.ts'
import { tlsSchema } from './tls.ts'
import { connectionsSchema } from './transports/pool.ts'
import { timeoutsSchema } from './transports/settings.ts'
import { transportSchema } from './transports/transports.ts'

const off = z.literal(false).transform(() => undefined)
const functionOf = <F>(what: string) => z.custom<F>((value) => typeof value === 'function', `expected ${what}`)
const objectWith = <T>(...names: string[]) =>
  z.custom<T>(
    (value) =>
      typeof value === 'object' &&
      value !== null &&
      names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function'),
    `expected an object with ${names.length === 1 ? 'a function' : 'functions'} ${names.map((name) => `\`${name}\``).join(', ')}`,
  )

/** What `update` can change while traffic flows. */
const poolShape = {
  /** The backends: URLs, or objects with `url` and optionally `id`, `weight`, `zone`. May be empty. */
  backends: backendsSchema,
  /** Where further backends come from: one source or a list of them. Default none. */
  discovery: discoverySchema.prefault([]),
  /** How one is chosen. Default `power-of-two`. */
  strategy: strategySchema.prefault('power-of-two'),
  health: z
    .strictObject({
      /** Probes. Off unless given. */
      active: z.union([off, activeSchema], { error: 'expected false, or an object of probe options' }).optional(),
      /** Ejection by what the traffic shows. On unless `false`. */
      passive: z
        .union([off, passiveSchema], { error: 'expected false, or an object of ejection options' })
        .prefault({}),
      /** What is recorded of probes and attempts: a summary each 60 s, or besides it each probe. Default `summary`. */
      record: z.enum(['summary', 'each']).default('summary'),
    })
    .prefault({}),
  /** Slow start of backends that join or recover. Off unless given. */
  slowStart: z
    .union([off, slowStartSchema], { error: 'expected false, or an object of slow start options' })
    .optional(),
  /** When health is left out of account because too few are eligible. Off unless given. */
  panic: z.union([off, panicSchema], { error: 'expected false, or an object with `thresholdPercent`' }).optional(),
  /** Shares of the traffic by group of backends: `{ canary: 5, stable: 95 }`. `default` are those without a group. Off unless given. */
  split: z.union([off, splitSchema], { error: 'expected false, or an object of shares by group' }).optional(),
  /** Which zone is preferred, and when traffic spills to other zones and levels. */
  locality: localitySchema.prefault({}),
  /** Keeps a client on the backend that it had. Off unless given. */
  affinity: z
    .union([off, affinitySchema], { error: 'expected false, or an object with `cookie`, or one with `key`' })
    .optional(),
  /** The part of the picks whose decision holds draws and scores, from 0 to 1, so that `replay` can do them again. Default 0.01. */
  traceRate: traceRateSchema.default(0.01),
  /** Further attempts on other backends. */
  retry: retrySchema.prefault({}),
  /** What becomes of requests while every backend is full. */
  queue: queueSchema.prefault({}),
  /** A share of the requests that is sent once more, to a group of its own. Off unless given. */
  mirror: z.union([off, mirrorSchema], { error: 'expected false, or an object of mirror options' }).optional(),
  /** A second attempt beside one that takes long. Off unless given. */
  hedge: z
    .union([off, hedgeSchema], { error: 'expected false, or an object with `delayMs` or `percentile`' })
    .optional(),
  timeouts: timeoutsSchema.prefault({}),
  /** Switches to another protocol, WebSocket above all. On unless `false`: then `Upgrade` is ignored. */
  upgrades: z.union([off, upgradesSchema], { error: 'expected false, or an object of upgrade options' }).prefault({}),
  connections: connectionsSchema.prefault({}),
  /** TLS to backends. */
  tls: tlsSchema.prefault({}),
  /** The `Host` that backends get: the client's, that of their own URL, or always the same one. Default `keep`. */
  host: hostSchema.default('keep'),
  /** Which headers tell backends where a request comes from: `X-Forwarded-*`, `Forwarded`, both or none. Default `x-forwarded`. */
  forwarded: forwardedSchema.default('x-forwarded'),
  /** Rules for headers that pass. */
  headers: headersSchema.prefault({}),
  /** Rules for the path that backends are asked for, in the order in which they are applied. Default none. */
  path: pathSchema.default([]),
  /** Which proxies in front are believed when they say who the client is. Default nobody. */
  trustProxy: trustSchema.prefault(false),
  /** How large requests may be. */
  limits: limitsSchema.prefault({}),
  /** How requests are carried: over sockets, by undici, by Node's own client, or by HTTP/2. Default `direct`. */
  transport: transportSchema.default('direct'),
  /** Which client addresses are served. */
  access: accessSchema.prefault({}),
}

const poolSchema = z.strictObject(poolShape)

const balancerSchema = z.strictObject({
  ...poolShape,
  /** The pool's name in every event. Default `balancer`. */
  name: serviceSchema.default('balancer'),
  control: z
    .strictObject({
      /** Decides who may change what. Without it every actor may: the calls are the host's own. */
      authorize: functionOf<Authorize>('a function (actor, change) => boolean').optional(),
    })
    .prefault({}),
  /** A trail made by `createAudit`, which its maker closes, or the options of one of its own. */
  audit: z
    .union([z.instanceof(Trail), auditSchema], { error: 'expected audit options, or a trail made by createAudit' })
    .prefault({}),
  /** Time, for tests. */
  clock: objectWith<Clock>('now', 'monoUs', 'after').optional(),
  /** Chance, for tests. */
  random: objectWith<Random>('uint32').optional(),
})

type PoolInput = Omit<z.input<typeof poolSchema>, 'backends' | 'strategy'> & {
  backends: readonly BackendOptions[]
  strategy?: StrategyOptions
}
export type BalancerOptions = PoolInput &
  Omit<z.input<typeof balancerSchema>, keyof typeof poolShape | 'audit'> & {
    /** A trail made by `createAudit`, which its maker closes, or the options of one of its own. */
    audit?: AuditOptions | Audit
  }
/** The parts of the configuration that `update` replaces. */
export type PoolChanges = Partial<PoolInput>

/** The part of the configuration that is in force at a revision. Immutable. */
export type PoolConfig = Readonly<z.output<typeof poolSchema>> & PoolPart

export type BalancerConfig = Readonly<Omit<z.output<typeof balancerSchema>, keyof typeof poolShape>> & {
  readonly pool: PoolConfig
}

export function parseConfig(options: unknown): BalancerConfig {
  const { name, control, audit, clock, random, ...pool } = parseOptions(balancerSchema, options, 'createBalancer')
  return { name, control, audit, clock, random, pool: Object.freeze({ ...pool, ...nothingSet }) }
}

/**
 * Changes, checked, as what makes a configuration of another: that with these parts replaced. What was set on backends that
 * left is forgotten. What was set on those that discovery found stays as long as there is any discovery: it may lose them and
 * find them again.
 */
export function readChanges(changes: unknown): Reading<(config: PoolConfig) => PoolConfig> {
  const { valid, refused, take } = read(poolSchema.partial(), changes, 'update')
  return {
    valid,
    refused,
    take() {
      const parsed = take()
      // A partial schema still fills in defaults: only what was given is taken over.
      const given = changes as Readonly<Record<string, unknown>>
      const named = Object.fromEntries(Object.entries(parsed).filter(([key]) => given[key] !== undefined))
      return (config) => merged(config, named)
    },
  }
}

function merged(config: PoolConfig, named: Readonly<Record<string, unknown>>): PoolConfig {
  const next = { ...config, ...named } as PoolConfig
  const ids = new Set(next.backends.map(({ id }) => id))
  const had = new Set(config.backends.map(({ id }) => id))
  const discovers = next.discovery.length > 0
  const stays = (id: string): boolean => ids.has(id) || (discovers && !had.has(id))
  return Object.freeze({ ...kept(next, stays), weights: discovers ? config.weights : {} })
}
