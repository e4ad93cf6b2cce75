// The pool: the state of every backend, and the snapshot of who is eligible now.
import { z } from 'zod'
import { type Backend, type BackendState, newBackendState } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Exclusion, ExclusionReason } from '../decision.ts'
import { Capacity } from './capacity.ts'
import { Handicaps } from './handicap.ts'
import { hasShare, type Part, type PlanRules, planOf, type Standing } from './plan.ts'
import { Ramp, type SlowStartConfig } from './ramp.ts'

export const panicSchema = z.strictObject({
  /**
   * When fewer than so many percent of the backends that an operator lets have traffic are eligible, health is left out of
   * account: better all of them than the few that are left. Every pick that this touches says `panic`.
   */
  thresholdPercent: z.int().min(1).max(100),
})

export interface PoolRules extends PlanRules {
  readonly slowStart?: SlowStartConfig | undefined
  readonly panic?: z.output<typeof panicSchema> | undefined
  /** Whose backends get copies of requests only. */
  readonly mirror?: { readonly group: string } | undefined
}

/** Immutable. A new one is made when the eligible set, a reason or a weight changes. */
export interface Snapshot {
  readonly version: number
  /** All that can be picked, in the order of configuration. */
  readonly candidates: readonly BackendState[]
  readonly excluded: readonly Exclusion[]
  readonly parts: readonly Part[]
  readonly panic: boolean
  /** How many are eligible by their health, panic or not. */
  readonly eligible: number
  /** The eligible ones that get copies only. */
  readonly mirrors: readonly BackendState[]
}

export interface PoolOptions {
  readonly clock: Clock
  /** Told when panic begins and ends. */
  readonly onPanic: (panic: boolean, facts: { readonly eligible: number; readonly total: number }) => void
  /** Told when a backend has no room any more, and when it has again. */
  readonly onCapacity: (backend: BackendState) => void
  /** Told of each new snapshot. */
  readonly onRefresh: () => void
}

const nothing: Snapshot = {
  version: 0,
  candidates: [],
  excluded: [],
  parts: [],
  panic: false,
  eligible: 0,
  mirrors: [],
}

export class Pool {
  readonly capacity: Capacity
  readonly #options: PoolOptions
  readonly #states = new Map<string, BackendState>()
  readonly #handicaps = new Handicaps()
  readonly #ramp: Ramp
  #rules: PoolRules
  #snapshot = nothing
  /** Those who were eligible in the last snapshot, trials aside. Written by refresh. */
  #settled: ReadonlySet<BackendState> = new Set()

  constructor(rules: PoolRules, options: PoolOptions) {
    this.#options = options
    this.capacity = new Capacity(options.onCapacity)
    this.#ramp = new Ramp(options.clock, () => this.refresh())
    this.#rules = rules
    this.#ramp.configure(rules.slowStart)
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  get states(): readonly BackendState[] {
    return [...this.#states.values()]
  }

  state(id: string): BackendState | undefined {
    return this.#states.get(id)
  }

  /** Goes by these rules from now on; `sync` or `refresh` must follow. */
  configure(rules: PoolRules): void {
    if (rules.slowStart !== this.#rules.slowStart) this.#ramp.configure(rules.slowStart)
    this.#rules = rules
  }

  /**
   * Makes the pool hold exactly these backends, in this order. One with the same id and url stays the same one, with all
   * that is known about it; returns those that came and those that left.
   */
  sync(backends: readonly Backend[]): { joined: BackendState[]; left: BackendState[] } {
    const before = new Map(this.#states)
    const joined: BackendState[] = []
    this.#states.clear()
    for (const backend of backends) {
      const known = before.get(backend.id)
      const same = known !== undefined && known.config.url === backend.url ? known : undefined
      const state = same ?? newBackendState(backend)
      if (same === undefined) joined.push(state)
      else before.delete(backend.id)
      state.config = backend
      this.#states.set(backend.id, state)
    }
    const left = [...before.values()]
    for (const state of left) {
      this.#ramp.forget(state)
      this.capacity.forget(state)
    }
    this.refresh()
    return { joined, left }
  }

  /** Must be called after any change of a backend's weight or of one of its health axes. */
  refresh(): void {
    const standings: Standing[] = []
    const mirrors: BackendState[] = []
    const mirrored: Exclusion[] = []
    for (const backend of this.#states.values()) {
      this.capacity.update(backend)
      backend.noShare = !hasShare(backend.config, this.#rules.split)
      const out = exclusionOf(backend)
      backend.copiesOnly = this.#rules.mirror !== undefined && backend.config.group === this.#rules.mirror.group
      if (!backend.copiesOnly) {
        standings.push({ backend, out })
        continue
      }
      mirrored.push(Object.freeze({ backend: backend.config.id, reason: 'mirror-only' }))
      if (out === undefined) mirrors.push(backend)
    }
    const eligible = standings.reduce((count, { out }) => (out === undefined ? count + 1 : count), 0)
    const servable = standings.filter(({ out }) => out === undefined || isHealth(out)).length
    const { thresholdPercent = 0 } = this.#rules.panic ?? {}
    const panic = eligible * 100 < thresholdPercent * servable
    const seen = panic
      ? standings.map(({ backend, out }) => ({ backend, out: isHealth(out) ? undefined : out }))
      : standings
    const { coming, growing } = this.#weigh(standings, panic)
    const wasPanic = this.#snapshot.panic
    this.#publish(seen, mirrored, { panic, eligible, mirrors })
    const lists = this.#snapshot.parts.flatMap(({ tiers }) => tiers.map(({ candidates }) => candidates))
    this.#handicaps.renew(lists, coming, growing)
    if (panic !== wasPanic) {
      this.#options.onPanic(panic, { eligible, total: servable })
    }
    this.#options.onRefresh()
  }

  /** Counts one pick. */
  picked(backend: BackendState): void {
    if (!this.#handicaps.none) this.#handicaps.picked(backend)
    this.capacity.update(backend)
  }

  close(): void {
    this.#ramp.close()
  }

  // Who comes to others, or comes back to them, starts slowly; where all come at once nobody is behind.
  #weigh(
    standings: readonly Standing[],
    panic: boolean,
  ): { readonly coming: ReadonlySet<BackendState>; readonly growing: ReadonlySet<BackendState> } {
    const settled = eligibleOf(standings).filter(({ passive }) => passive !== 'trial')
    const isNew = (backend: BackendState): boolean => !this.#settled.has(backend)
    const coming = new Set(panic || settled.every(isNew) ? [] : settled.filter(isNew))
    for (const backend of coming) this.#ramp.start(backend)
    const growing = new Set([...this.#states.values()].filter((backend) => this.#ramp.weigh(backend)))
    this.#settled = new Set(settled)
    return { coming, growing }
  }

  #publish(
    standings: readonly Standing[],
    mirrored: readonly Exclusion[],
    facts: Pick<Snapshot, 'panic' | 'eligible' | 'mirrors'>,
  ): void {
    const candidates: BackendState[] = []
    const excluded: Exclusion[] = [...mirrored]
    for (const { backend, out } of standings) {
      if (out === undefined) candidates.push(backend)
      else excluded.push(Object.freeze({ backend: backend.config.id, reason: out }))
    }
    this.#snapshot = Object.freeze({
      ...facts,
      version: this.#snapshot.version + 1,
      candidates: Object.freeze(candidates),
      excluded: Object.freeze(excluded),
      parts: Object.freeze(planOf(standings, mirrored, this.#rules)),
    })
  }
}

const eligibleOf = (standings: readonly Standing[]): BackendState[] =>
  standings.filter(({ out }) => out === undefined).map(({ backend }) => backend)

const isHealth = (reason: ExclusionReason | undefined): boolean => reason === 'unhealthy' || reason === 'ejected'

/** Why a backend gets no new picks; the first reason in this order is the one that is recorded. */
function exclusionOf(state: BackendState): ExclusionReason | undefined {
  if (state.admin !== 'ready') return state.admin
  if (state.config.weight === 0) return 'weight-zero'
  if (state.active === 'unhealthy') return 'unhealthy'
  if (state.passive === 'ejected') return 'ejected'
  return state.noShare ? 'other-group' : undefined
}
