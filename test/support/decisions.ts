// Decisions of pools that change all the time, for replays.
import { expect } from 'vitest'
import { type BackendOptions, backendsSchema } from '../../src/backend.ts'
import { createBalancer } from '../../src/balancer.ts'
import type { PoolChanges } from '../../src/config.ts'
import type { Decision, Lease } from '../../src/decision.ts'
import { describe } from '../../src/describe.ts'
import { below, type Random } from '../../src/random.ts'
import { Picker } from '../../src/routing/picker.ts'
import { withoutKey } from '../../src/secret.ts'
import { createStrategy, type StrategyOptions, strategySchema } from '../../src/strategies/index.ts'
import { fakeClock } from './fake-clock.ts'
import { poolWith } from './pool.ts'

/** Every way in which a strategy is tried, by name. */
export function strategyOptions(name: string): [string, StrategyOptions][] {
  if (name !== 'consistent-hash') return [[name, name as StrategyOptions]]
  const key = { header: 'x-key' }
  return [
    { algorithm: 'rendezvous' },
    { algorithm: 'rendezvous', boundedLoad: 125 },
    { algorithm: 'maglev', tableSize: 251 },
    { algorithm: 'ring', points: 16 },
    { algorithm: 'ring', points: 16, boundedLoad: 110 },
  ].map((options) => [`${name} ${JSON.stringify(options)}`, { name, key, ...options } as unknown as StrategyOptions])
}

const oneOf = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)]!

/** Up to eight backends of any weight, limit, zone, group and level. */
const backendsOf = (random: Random): BackendOptions[] =>
  Array.from({ length: below(random, 9) }, (_, i) => ({
    id: `b${i}`,
    url: `http://b${i}`,
    weight: below(random, 12) === 0 ? 0 : 1 + below(random, i % 2 === 0 ? 4 : 200),
    ...(below(random, 4) === 0 ? { maxInFlight: 1 + below(random, 5) } : {}),
    ...(below(random, 4) === 0 ? { priority: 1 } : {}),
    ...(below(random, 3) === 0 ? { zone: 'here' } : {}),
    ...(below(random, 3) === 0 ? { group: 'canary' } : {}),
  }))

const changesOf = (random: Random): PoolChanges =>
  oneOf<() => PoolChanges>(random, [
    () => ({ backends: backendsOf(random) }),
    () => ({ backends: backendsOf(random) }),
    () => ({ locality: below(random, 2) === 0 ? {} : { zone: 'here' } }),
    () => ({ split: { default: 1 + below(random, 3), canary: below(random, 2) } }),
    () => ({ affinity: { key: { header: 'x-key' }, max: 1 + below(random, 50) } }),
    () => ({ panic: { thresholdPercent: 1 + below(random, 60) } }),
  ])()

/**
 * So many decisions, all traced, of a pool whose backends, weights, limits, levels, zones, groups, health and loads change
 * between the picks.
 */
export async function* decisionsOf(
  strategy: StrategyOptions,
  count: number,
  random: Random,
): AsyncGenerator<Decision, void, undefined> {
  const clock = fakeClock()
  const balancer = createBalancer({
    backends: backendsOf(random),
    strategy,
    slowStart: { windowMs: 1000 },
    health: { passive: { failures: 2, ejectionMs: 200, maxEjectedPercent: 80 } },
    traceRate: 1,
    clock,
    random,
  })
  const ops = balancer.as({ id: 'fuzz', type: 'system' })
  const open: Lease[] = []
  for (let i = 0; i < count; i++) {
    if (below(random, 50) === 0) await ops.update(changesOf(random))
    const known = below(random, 50) === 0 ? balancer.snapshot().backends : []
    if (known.length > 0) {
      const { id, admin } = oneOf(random, known)
      await (admin === 'ready' ? oneOf(random, [ops.drain, ops.drain, ops.disable])(id) : ops.undrain(id))
    }
    const lease = balancer.pick({ headers: { 'x-key': String(below(random, 1000)) } })
    if (lease.backend !== undefined) open.push(lease)
    while (open.length > below(random, 20)) {
      const [ended] = open.splice(below(random, open.length), 1)
      ended!.done({ result: below(random, 5) === 0 ? 'backend-reset' : 'ok', latencyUs: below(random, 50_000) })
    }
    clock.advance(below(random, 30))
    yield lease.decision
  }
  for (const lease of open) lease.done({ result: 'ok' })
  await balancer.close({ deadlineMs: 0 })
}

/** The same of a picker that is asked for further attempts, for which some were tried. */
export function* furtherDecisionsOf(
  strategy: StrategyOptions,
  count: number,
  random: Random,
): Generator<Decision, void, undefined> {
  const clock = fakeClock()
  const parsed = strategySchema.parse(strategy)
  const fresh = () => backendsSchema.parse(backendsOf(random))
  const pool = poolWith(fresh(), { slowStart: { windowMs: 1000, minPercent: 10, aggression: 1 } }, clock)
  const picker = new Picker(
    {
      name: parsed.name,
      create: () => createStrategy(parsed, { clock, random }),
      options: 'pick' in parsed ? undefined : describe(parsed.options, withoutKey),
      affinity: undefined,
      groups: [''],
      traceRate: 1,
    },
    { pool, random, onFault: (_, fault) => expect(fault).toBe('none') },
  )
  for (let i = 0; i < count; i++) {
    if (below(random, 60) === 0) pool.sync(fresh())
    const tried = pool.states.filter(() => below(random, 4) === 0)
    const request = { headers: { 'x-key': String(below(random, 1000)) } }
    const { backend, decision } = picker.pick(request, tried, { retry: tried.length })
    if (backend !== undefined) {
      backend.inFlight++
      pool.picked(backend)
    }
    for (const state of pool.states) {
      while (state.inFlight > below(random, 6)) {
        state.inFlight--
        pool.capacity.update(state)
        picker.observe(state, { failed: below(random, 8) === 0, latencyUs: below(random, 50_000) })
      }
    }
    clock.advance(below(random, 30))
    yield decision
  }
  pool.close()
}
