// Replay: does a recorded pick once more, with what the record says it went by.
import { type BackendState, newBackendState } from './backend.ts'
import type { Clock } from './clock.ts'
import type { Trace, TracedCandidate } from './decision.ts'
import { BalancerError, reasonOf } from './errors.ts'
import type { Random } from './random.ts'
import { createStrategy, isNamedStrategy, strategySchema } from './strategies/index.ts'
import type { Draft } from './strategy.ts'

/** As a line holds it, and as a listener gets it. */
type RecordedTrace = Omit<Trace, 'options'> & { readonly options?: unknown }

/** What `replay` reads of a decision: of a lease's, or of `lb.decision` in a line. */
export interface RecordedDecision {
  readonly backend?: string | undefined
  readonly reason: string
  readonly strategy: string
  readonly trace?: RecordedTrace | undefined
}

/**
 * The id of the backend that the recorded pick must have chosen: the strategy runs again on the candidates, weights, loads,
 * draws and hash of the record. Undefined where none could be chosen. Compare it with the `backend` of the record.
 *
 * Throws {@link BalancerError} `not-replayable` for a record that was not sampled, one of a strategy of the user's own, one of
 * a pool that was too large to keep (over 512 candidates, or too long for a line), one that went by a key that is not
 * recorded, and one that is none.
 */
export function replay(
  record: RecordedDecision | { readonly lb: { readonly decision?: RecordedDecision | undefined } },
): string | undefined {
  const decision = decisionOf(record)
  try {
    return replayed(decision)
  } catch (error) {
    throw error instanceof BalancerError ? error : no(`its trace is none: ${reasonOf(error)}`)
  }
}

function replayed({ strategy: name, reason, trace }: RecordedDecision): string | undefined {
  if (trace === undefined) throw no('it was not sampled: it has no trace')
  if (reason === 'sticky') return trace.compared[0]?.backend
  if (reason === 'custom' || !isNamedStrategy(name)) throw no(`${JSON.stringify(name)} chose by a rule of its own`)
  if (trace.pool === undefined) throw no('its pool was too large to keep')
  if (trace.pool.every(({ open }) => !open)) {
    if (reason === 'none-eligible') return undefined
    throw no('nobody in its pool could be chosen')
  }
  const states = trace.pool.map(stateOf)
  const draws = [...trace.draws]
  const random: Random = {
    uint32() {
      const draw = draws.shift()
      if (draw === undefined && 'key' in optionsOf(trace))
        throw no('the hash of its key was not recorded, as the key is not')
      if (draw === undefined) throw no('it has fewer draws than the strategy takes')
      return draw
    },
  }
  const strategy = createStrategy(strategySchema.parse({ name, ...optionsOf(trace) }), {
    clock: stopped,
    random: noChance,
  })
  strategy.rebuild?.(states)
  const { pool } = trace
  if (pool.every(({ memory }) => memory !== undefined))
    strategy.recall?.(
      states,
      pool.map(({ memory }) => memory!),
    )
  const open = new Set(states.filter((_, i) => pool[i]!.open))
  const draft: Draft = {
    request: {},
    random,
    restricted: open.size < states.length,
    admits: (candidate) => open.has(candidate),
    reason: 'custom',
    hash: trace.hash,
  }
  return strategy.pick(states, draft)?.config.id
}

const no = (detail: string): BalancerError => new BalancerError('not-replayable', detail)

function decisionOf(record: unknown): RecordedDecision {
  const given = (record as { lb?: { decision?: unknown } } | null | undefined)?.lb?.decision ?? record
  const { strategy, reason } = (given ?? {}) as Partial<RecordedDecision>
  if (typeof strategy !== 'string' || typeof reason !== 'string') throw no('it is no decision')
  return given as RecordedDecision
}

// The hash of the key is in the record: the key itself is not asked for, and a function could not be.
function optionsOf({ options }: RecordedTrace): object {
  if (typeof options !== 'object' || options === null) return {}
  return 'key' in options ? { ...options, key: 'path' } : options
}

function stateOf({ backend: id, handicap = 0, load, weight }: TracedCandidate): BackendState {
  const config = { id, url: '', address: '', port: 0, weight: 1, priority: 0 }
  return { ...newBackendState(config), handicap, inFlight: load - handicap, weight }
}

const stopped: Clock = { now: () => 0, monoUs: () => 0, after: () => ({ cancel: () => undefined }) }
/** What a strategy draws as it is built has no part in the pick: `recall` sets what it remembers. */
const noChance: Random = { uint32: () => 0 }
