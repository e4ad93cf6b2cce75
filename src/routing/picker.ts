// The picker: asks the strategy, and writes down why.
import { type BackendState, hasRoom } from '../backend.ts'
import { type Decision, type PickReason, pickReasons } from '../decision.ts'
import { reasonOf } from '../errors.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Draft, Observation, Strategy } from '../strategy.ts'
import type { Pool, Snapshot } from './pool.ts'

export interface Pick {
  readonly backend: BackendState | undefined
  readonly decision: Decision
}

/** What a pick is for, where it is not the first of its request. */
interface Turn {
  readonly retry?: number
  readonly hedge?: boolean
}

/** Told once when a user's strategy throws, or returns a backend that it may not, or nobody where somebody could be. */
export type StrategyFault = (strategy: string, fault: string) => void

export class Picker {
  readonly #pool: Pool
  readonly #random: Random
  readonly #onFault: StrategyFault
  #strategy: Strategy
  #built: Snapshot | undefined
  /** The candidates of the snapshot that the strategy was built for. */
  #members: ReadonlySet<BackendState> = new Set()

  constructor(pool: Pool, strategy: Strategy, random: Random, onFault: StrategyFault) {
    this.#pool = pool
    this.#strategy = strategy
    this.#random = random
    this.#onFault = onFault
  }

  /** Switches the strategy, from the next pick on. */
  use(strategy: Strategy): void {
    this.#strategy = strategy
    this.#built = undefined
  }

  /** Tells the strategy how it went. */
  observe(backend: BackendState, observation: Observation): void {
    try {
      this.#strategy.observe?.(backend, observation)
    } catch (error) {
      this.#onFault(this.#strategy.name, reasonOf(error))
    }
  }

  /** Never throws. `tried` are the backends that earlier attempts of the same request had. */
  pick(request: PickRequest, tried: readonly BackendState[], turn?: Turn): Pick {
    const snapshot = this.#pool.snapshot
    const { candidates } = snapshot
    const draft = new PickDraft(request, this.#random, tried, !candidates.every(hasRoom))
    const backend = candidates.length === 0 ? undefined : this.#choose(snapshot, draft)
    return { backend, decision: this.#decide(snapshot, backend, draft, tried, turn) }
  }

  #choose(snapshot: Snapshot, draft: PickDraft): BackendState | undefined {
    const { candidates } = snapshot
    const strategy = this.#strategy
    try {
      if (this.#built !== snapshot) {
        this.#built = snapshot
        this.#members = new Set(candidates)
        strategy.rebuild?.(candidates)
      }
      const picked = strategy.pick(candidates, draft)
      if (picked !== undefined && this.#members.has(picked) && draft.admits(picked)) {
        if (!pickReasons.includes(draft.reason)) draft.reason = 'custom'
        return picked
      }
      if (picked === undefined && !candidates.some((candidate) => draft.admits(candidate))) return undefined
      this.#onFault(strategy.name, `it picked ${picked === undefined ? 'nobody' : 'a backend that is not a candidate'}`)
    } catch (error) {
      this.#onFault(strategy.name, reasonOf(error))
    }
    draft.reason = 'custom'
    return candidates.find((candidate) => draft.admits(candidate))
  }

  #decide(
    snapshot: Snapshot,
    backend: BackendState | undefined,
    draft: PickDraft,
    tried: readonly BackendState[],
    turn: Turn | undefined,
  ): Decision {
    const full = backend === undefined ? snapshot.candidates.filter((one) => !hasRoom(one) && !tried.includes(one)) : []
    const excluded =
      tried.length === 0 && full.length === 0
        ? snapshot.excluded
        : [
            ...snapshot.excluded,
            ...triedOf(snapshot, tried).map((id) => ({ backend: id, reason: 'tried' as const })),
            ...full.map(({ config: { id } }) => ({ backend: id, reason: 'at-capacity' as const })),
          ]
    const candidates = snapshot.candidates.length - (excluded.length - snapshot.excluded.length)
    return {
      backend: backend?.config.id,
      candidates,
      excluded,
      hedge: turn?.hedge,
      reason: backend === undefined ? 'none-eligible' : draft.reason,
      retry: turn?.retry,
      snapshot: snapshot.version,
      strategy: this.#strategy.name,
    }
  }
}

const triedOf = (snapshot: Snapshot, tried: readonly BackendState[]): string[] =>
  snapshot.candidates.filter((candidate) => tried.includes(candidate)).map((candidate) => candidate.config.id)

class PickDraft implements Draft {
  reason: PickReason = 'custom'
  readonly request: PickRequest
  readonly random: Random
  readonly restricted: boolean
  readonly #tried: readonly BackendState[]

  constructor(request: PickRequest, random: Random, tried: readonly BackendState[], someFull: boolean) {
    this.request = request
    this.random = random
    this.restricted = someFull || tried.length > 0
    this.#tried = tried
  }

  admits(candidate: BackendState): boolean {
    return hasRoom(candidate) && !this.#tried.includes(candidate)
  }
}
