// Twins: two balancers that are fed the same outcomes, of which only one is changed all the time.
import { expect } from 'vitest'
import type { BackendOptions } from '../../src/backend.ts'
import type { BalancerOptions, PoolChanges } from '../../src/config.ts'
import type { Lease, LeaseOutcome } from '../../src/decision.ts'
import { below, type Random, seededRandom } from '../../src/random.ts'
import { type StrategyOptions, strategies } from '../../src/strategies/index.ts'
import { peakEwma } from '../../src/strategies/peak-ewma.ts'
import type { Strategy } from '../../src/strategy.ts'
import { strategyOptions } from './decisions.ts'
import { fakeClock } from './fake-clock.ts'
import { made } from './pool.ts'
import { type Watched, watched } from './watched.ts'

/** Those that both have. The last one never fails and is never kept out, so that no rule for the last backend comes in. */
const shared = ['s0', 's1', 's2', 's3', 's4', 'anchor']
const zones = ['east', 'west', undefined]
const groups = ['canary', 'copies', undefined]

export interface TwinOptions {
  readonly seed: number
  readonly steps: number
  /** What decides of failures: results of leases and probes that eject, or nothing, so that only latencies are learned. */
  readonly kind: TwinKind
}

type TwinKind = 'passive' | 'active' | 'latency'

/** What the changed one goes by, one of them at a time. */
const strategiesOf = (kind: TwinKind): StrategyOptions[] =>
  kind === 'latency'
    ? ['peak-ewma']
    : strategies.flatMap(({ name }) => strategyOptions(name).map(([, options]) => options))

/** How much of everything came about: a run in which nothing happens proves nothing. */
export interface TwinFacts {
  updates: number
  pairs: number
  out: number
  probed: number
  /** Costs of backends that were compared. */
  costs: number
}

const healthOf = (kind: TwinKind, probe: () => Promise<void>, record: 'each' | 'summary') => ({
  record,
  passive:
    kind === 'latency'
      ? { failures: 1000 }
      : {
          failures: 3,
          ejectionMs: 500,
          maxEjectionMs: 4000,
          maxEjectedPercent: 100,
          rate: { windowMs: 3000, minRequests: 8, failurePercent: 60 },
        },
  active: kind === 'active' ? { probe, intervalMs: 400, rise: 2, fall: 3 } : (false as const),
})

/** Chance that is none while a balancer is not picking: probes of both are at the same times then. */
function chanceOf(seed: number) {
  const random = seededRandom(seed)
  const chance = { picking: false, uint32: () => (chance.picking ? random.uint32() : 0) }
  return chance
}

/** Peak EWMA learns, and somebody else chooses. */
function told(clock: ReturnType<typeof fakeClock>) {
  const inner = made(peakEwma, seededRandom(1), {}, clock)
  const to = { id: '' }
  let known: Parameters<NonNullable<Strategy['rebuild']>>[0] = []
  const strategy: Strategy = {
    name: 'told',
    rebuild(candidates) {
      known = candidates
      inner.rebuild?.(candidates)
    },
    pick: (candidates) => candidates.find(({ config }) => config.id === to.id),
    observe: (backend, observation) => inner.observe?.(backend, observation),
  }
  return {
    strategy,
    to,
    costs: () => new Map(inner.memory!(known).map((us, i) => [known[i]!.config.id, us])),
  }
}

/** A probe that fails in spells, the same ones for the same backend: by how often it was asked. */
function probeOf() {
  const asked = new Map<string, number>()
  const probe = async ({ id }: { id: string }): Promise<void> => {
    const turn = (asked.get(id) ?? 0) + 1
    asked.set(id, turn)
    const spell = Math.imul(Math.floor(turn / 4) + 7, 0x9e3779b1 ^ (id.charCodeAt(1) * 0x85ebca6b)) >>> 28
    if (id !== 'anchor' && spell < 6) throw new Error('ill')
  }
  return { probe, total: () => [...asked].filter(([id]) => shared.includes(id)).reduce((sum, [, n]) => sum + n, 0) }
}

/** What became of the health of those that both have, each in its order. */
const courses = ({ of }: Watched) =>
  shared.map((id) =>
    of('backend.health_changed')
      .filter(({ backend }) => backend.id === id && (backend.axis === 'passive' || backend.axis === 'active'))
      .map(({ time, backend }) => ({ time, ...backend })),
  )

const standings = ({ balancer }: Watched) =>
  balancer
    .snapshot()
    .backends.filter(({ id }) => shared.includes(id))
    .map(({ id, active, passive, inFlight, picks, failures }) => ({ id, active, passive, inFlight, picks, failures }))
    .sort((a, b) => (a.id < b.id ? -1 : 1))

/**
 * Runs the twins. The changed one picks first; where it takes a backend that both have, the other one takes it too. What has
 * to do with the whole pool is left out of it: outliers, panic, and a cap of the ejections.
 */
export async function runTwins({ seed, steps, kind }: TwinOptions): Promise<TwinFacts> {
  const fuzz = seededRandom(seed)
  const choices = strategiesOf(kind)
  const clock = fakeClock()
  const probes = [probeOf(), probeOf()] as const
  const chances = [chanceOf(seed + 1), chanceOf(seed + 2)] as const
  const guide = told(clock)
  const twin = (i: 0 | 1, strategy: StrategyOptions): Watched =>
    watched({
      backends: shared.map((id) => ({ id, url: `http://${id}` })),
      strategy,
      health: healthOf(kind, probes[i].probe as () => Promise<void>, 'summary'),
      traceRate: kind === 'latency' ? 1 : 0,
      clock,
      audit: { clock },
      random: chances[i],
    } as BalancerOptions)
  const changed = twin(0, choices[0]!)
  const still = twin(1, guide.strategy)
  const facts: TwinFacts = { updates: 0, pairs: 0, out: 0, probed: 0, costs: 0 }
  const fuzzed = {
    fuzz,
    changed,
    kind,
    choices,
    probe: probes[0].probe as () => Promise<void>,
    kept: new Set<string>(),
  }
  const open: { id: string; leases: Lease[] }[] = []
  const fed = new Set<string>()
  for (let step = 0; step < steps; step++) {
    if (fed.size === shared.length && below(fuzz, 6) === 0) {
      await change(fuzzed)
      facts.updates++
    }
    for (let i = below(fuzz, 4); i > 0; i--) {
      const lease = pickOf(changed, chances[0], { headers: { 'x-key': String(below(fuzz, 50)) } })
      const id = lease.backend?.id
      if (id === undefined) continue
      const leases = [lease]
      if (shared.includes(id)) {
        guide.to.id = id
        const other = pickOf(still, chances[1], {})
        expect(other.backend?.id).toBe(id)
        leases.push(other)
        facts.pairs++
        if (kind === 'latency' && fed.size === shared.length) facts.costs += compareCosts(lease, guide.costs())
      }
      open.push({ id, leases })
    }
    while (open.length > below(fuzz, 12)) {
      const { id, leases } = open.splice(below(fuzz, open.length), 1)[0]!
      const outcome = outcomeOf(id, fuzz, clock.monoUs(), !fed.has(id))
      for (const lease of leases) lease.done(outcome)
      if (leases.length === 2) fed.add(id)
    }
    clock.advance(below(fuzz, 60))
    // Probes end in turns of their own.
    if (kind === 'active') await new Promise(setImmediate)
    expect([step, standings(changed)]).toEqual([step, standings(still)])
    expect(admins(changed)).toEqual([...fuzzed.kept].sort())
  }
  for (const { leases } of open) for (const lease of leases) lease.done({ result: 'ok' })
  clock.advance(10_000)
  await new Promise(setImmediate)
  expect(standings(changed)).toEqual(standings(still))
  const [ours, theirs] = [courses(changed), courses(still)]
  expect(ours).toEqual(theirs)
  facts.out = ours.flat().filter(({ to }) => to === 'ejected' || to === 'unhealthy').length
  facts.probed = probes[0].total()
  expect(facts.probed).toBe(probes[1].total())
  return facts
}

function pickOf({ balancer }: Watched, chance: { picking: boolean }, request: object): Lease {
  chance.picking = true
  const lease = balancer.pick(request)
  chance.picking = false
  return lease
}

/** Which of those that both have are drained or disabled. */
const admins = ({ balancer }: Watched): string[] =>
  balancer
    .snapshot()
    .backends.filter(({ id, admin }) => shared.includes(id) && admin !== 'ready')
    .map(({ id }) => id)
    .sort()

/** What the changed one remembers of those that both have, as the trace of a pick tells it; returns how many there were. */
function compareCosts({ decision }: Lease, theirs: ReadonlyMap<string, number>): number {
  if (decision.reason === 'sticky') return 0
  const ours = decision.trace!.pool!.filter(({ backend }) => shared.includes(backend))
  for (const { backend, memory } of ours) expect([backend, memory]).toEqual([backend, theirs.get(backend)])
  return ours.length
}

/** Each backend has its bad times, so that some go out, and come back. */
function outcomeOf(id: string, fuzz: Random, nowUs: number, isFirst: boolean): LeaseOutcome {
  const latencyUs = 1000 + below(fuzz, 200_000)
  const isBad = Math.floor(nowUs / 700_000 + id.charCodeAt(1)) % 3 === 0
  if (isFirst || id === 'anchor' || below(fuzz, 10) >= (isBad ? 8 : 1)) return { result: 'ok', latencyUs }
  const kind = below(fuzz, 4)
  if (kind === 0) return { result: 'ok', status: 503, latencyUs }
  return { result: kind === 1 ? 'client-gone' : kind === 2 ? 'header-timeout' : 'backend-reset', latencyUs }
}

interface Fuzzed {
  readonly fuzz: Random
  readonly changed: Watched
  readonly kind: TwinKind
  readonly choices: readonly StrategyOptions[]
  readonly probe: () => Promise<void>
  /** Those of both that are drained or disabled. */
  readonly kept: Set<string>
}

async function change({ fuzz, changed: { balancer, ops }, kind, choices, probe, kept }: Fuzzed): Promise<void> {
  const one = <T>(list: readonly T[]): T => list[below(fuzz, list.length)]!
  const patient = one(shared.slice(0, 5))
  const others = balancer.snapshot().backends.filter(({ id }) => !shared.includes(id))
  switch (below(fuzz, 10)) {
    case 0:
      await ops.drain(patient)
      return void kept.add(patient)
    case 1:
      await ops.disable(patient)
      return void kept.add(patient)
    case 2:
    case 3:
      if (kept.size > 0) await ops.undrain(one([...kept]))
      for (const id of kept) if (!admins({ balancer } as Watched).includes(id)) kept.delete(id)
      return
    case 4:
      return void (await ops.setWeight(patient, one([0, 1, 1, 7, 300])))
    case 5:
      if (others.length === 0) return void (await ops.addBackend(backendOf(`x${below(fuzz, 1000)}`, fuzz)))
      return void (await (below(fuzz, 2) === 0 ? ops.remove(one(others).id) : ops.drain(one(others).id)))
    case 6:
      return void (await ops.update({ backends: setOf(fuzz) }))
    case 7:
      // New options, and the old ones again before anything has come of them.
      if (kind !== 'latency') return void (await ops.update({ strategy: one(choices) }))
      await ops.update({ strategy: { name: 'peak-ewma', decayMs: 50, penaltyMs: 7 } })
      return void (await ops.update({ strategy: choices[0]! }))
    default:
      return void (await ops.update(optionsOf(fuzz, kind, probe)))
  }
}

/** All that both have, in any order and of any traits, and some others. */
function setOf(fuzz: Random): BackendOptions[] {
  const ids = [...shared, ...Array.from({ length: below(fuzz, 4) }, (_, i) => `x${i}`)]
  for (let i = ids.length - 1; i > 0; i--) {
    const j = below(fuzz, i + 1)
    ;[ids[i], ids[j]] = [ids[j]!, ids[i]!]
  }
  return ids.map((id) => (id === 'anchor' ? { id, url: 'http://anchor' } : backendOf(id, fuzz)))
}

function backendOf(id: string, fuzz: Random): Exclude<BackendOptions, string> {
  const zone = zones[below(fuzz, 3)]
  const group = groups[below(fuzz, 3)]
  return {
    id,
    url: shared.includes(id) ? `http://${id}` : `http://${id}-${below(fuzz, 3)}`,
    weight: below(fuzz, 5) === 0 ? 0 : 1 + below(fuzz, 20),
    priority: below(fuzz, 2),
    ...(zone === undefined ? {} : { zone }),
    ...(group === undefined ? {} : { group }),
    ...(below(fuzz, 3) === 0 ? { maxInFlight: 1 + below(fuzz, 6) } : {}),
  }
}

function optionsOf(fuzz: Random, kind: TwinKind, probe: () => Promise<void>): PoolChanges {
  switch (below(fuzz, 8)) {
    case 0:
      return { retry: { retries: below(fuzz, 4), budget: { percent: below(fuzz, 100) } } }
    case 1:
      return { locality: below(fuzz, 2) === 0 ? {} : { zone: ['east', 'west'][below(fuzz, 2)]! } }
    case 2:
      return { split: { default: 1 + below(fuzz, 5), canary: below(fuzz, 5), copies: below(fuzz, 3) } }
    case 3:
      return { mirror: below(fuzz, 2) === 0 ? false : { group: 'copies', percent: 10 } }
    case 4:
      return { slowStart: { windowMs: 100 + below(fuzz, 5000) } }
    case 5:
      return { affinity: { key: { header: 'x-key' }, max: 1 + below(fuzz, 100) } }
    case 6:
      return {
        queue: { max: below(fuzz, 100) },
        timeouts: { headerMs: 1000 + below(fuzz, 1000) },
        hedge: below(fuzz, 2) === 0 ? false : { percentile: 90 },
        host: below(fuzz, 2) === 0 ? 'keep' : 'backend',
      }
    default:
      // The same rules once more. Probes would begin anew, and so at other times.
      return kind === 'active'
        ? { access: { deny: ['10.0.0.1'] } }
        : { health: healthOf(kind, probe, below(fuzz, 2) === 0 ? 'each' : 'summary') }
  }
}
