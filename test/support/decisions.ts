// Decisions of pools that change all the time, for replays.
import { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import type { Decision, Lease } from '../../src/decision.ts'
import { below, type Random } from '../../src/random.ts'
import type { StrategyOptions } from '../../src/strategies/index.ts'
import { fakeClock } from './fake-clock.ts'

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

/** So many decisions, all traced, of a pool whose backends, weights, limits and loads change between the picks. */
export async function* decisionsOf(
  strategy: StrategyOptions,
  count: number,
  random: Random,
): AsyncGenerator<Decision, void, undefined> {
  const clock = fakeClock()
  const pool = (): BalancerOptions['backends'] =>
    Array.from({ length: 1 + below(random, 8) }, (_, i) => ({
      id: `b${i}`,
      url: `http://b${i}`,
      weight: 1 + below(random, i % 2 === 0 ? 4 : 200),
      ...(below(random, 4) === 0 ? { maxInFlight: 1 + below(random, 5) } : {}),
    }))
  const slowStart = { windowMs: 1000 }
  const balancer = createBalancer({ backends: pool(), strategy, slowStart, traceRate: 1, clock, random })
  const ops = balancer.as({ id: 'fuzz', type: 'system' })
  const open: Lease[] = []
  for (let i = 0; i < count; i++) {
    if (below(random, 40) === 0) await ops.update({ backends: pool() })
    const lease = balancer.pick({ headers: { 'x-key': String(below(random, 1000)) } })
    if (lease.backend !== undefined) open.push(lease)
    while (open.length > below(random, 20)) {
      const [ended] = open.splice(below(random, open.length), 1)
      ended!.done({ result: below(random, 10) === 0 ? 'backend-reset' : 'ok', latencyUs: below(random, 50_000) })
    }
    clock.advance(below(random, 30))
    yield lease.decision
  }
  for (const lease of open) lease.done({ result: 'ok' })
  await balancer.close({ deadlineMs: 0 })
}
