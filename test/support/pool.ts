// Backends and pools for tests that need no network.
import { type Backend, type BackendState, newBackendState } from '../../src/backend.ts'
import type { Clock } from '../../src/clock.ts'
import type { PickReason } from '../../src/decision.ts'
import { type Random, seededRandom } from '../../src/random.ts'
import { Pool, type PoolRules } from '../../src/routing/pool.ts'
import { createStrategy, strategySchema } from '../../src/strategies/index.ts'
import type { Draft, Strategy, StrategyDefinition } from '../../src/strategy.ts'
import { fakeClock } from './fake-clock.ts'

export const backendOf = (id: string, weight = 1, port = 80): Backend =>
  Object.freeze({ id, url: `http://${id}:${port}`, address: id, port, weight, priority: 0 })

/** States with these weights: b0, b1, … */
export const statesOf = (...weights: number[]): BackendState[] =>
  weights.map((weight, i) => newBackendState(backendOf(`b${i}`, weight)))

export interface TestDraft extends Draft {
  reason: PickReason
}

/** A draft that admits these candidates only, or all. */
export function draftOf(random: Random = seededRandom(1), admitted?: readonly BackendState[]): TestDraft {
  return {
    request: {},
    random,
    restricted: admitted !== undefined,
    admits: (candidate) => admitted === undefined || admitted.includes(candidate),
    reason: 'custom',
  }
}

/** How often each value occurs. */
export function countOf<T>(values: Iterable<T>): Map<T, number> {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

/** A strategy of the library, made with this source of chance, and by the defaults of its options unless told otherwise. */
export function made(
  definition: StrategyDefinition,
  random: Random,
  options: object = {},
  clock: Clock = fakeClock(),
): Strategy {
  return createStrategy(strategySchema.parse({ name: definition.name, ...options }), { clock, random })
}

/** A pool of these backends, whose facts nobody hears. */
export function poolWith(
  backends: readonly Backend[],
  rules: Partial<PoolRules> = {},
  clock: Clock = fakeClock(),
): Pool {
  const locality = { overprovisionPercent: 140 }
  const pool = new Pool({ locality, ...rules }, { clock, onPanic: () => undefined, onCapacity: () => undefined })
  pool.sync(backends)
  return pool
}
