// The router: pool, picker and what is in flight, as one.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { type Backend, type BackendState, hasRoom } from '../backend.ts'
import type { Json } from '../canonical.ts'
import type { Clock } from '../clock.ts'
import { type Emit, severity } from '../events.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Observation, Strategy } from '../strategy.ts'
import { type Affinity, type AffinityConfig, canKeep, createAffinity } from './affinity.ts'
import type { StrategyFault } from './chooser.ts'
import { InFlight } from './in-flight.ts'
import { type Pick, Picker, type PickRules, type Turn } from './picker.ts'
import { Pool, type PoolOptions, type PoolRules } from './pool.ts'
import { rotation } from './rotation.ts'
import { type QueueConfig, WaitingRoom } from './waiting.ts'

export const traceRateSchema = z.number().min(0).max(1)

/** A strategy that configuration has chosen. The same object for as long as it is the same strategy. */
export interface StrategyChoice {
  readonly name: string
  /** One for one more list of candidates; of a user's own always the same. */
  readonly create: () => Strategy
  /** Its options, as a record holds them. */
  readonly options: Json | undefined
}

export interface RouterRules extends PoolRules {
  readonly affinity?: AffinityConfig | undefined
  readonly traceRate: number
  readonly queue: QueueConfig
}

export interface RouterOptions extends Omit<PoolOptions, 'onPanic' | 'onRefresh'> {
  readonly emit: Emit
  readonly clock: Clock
  readonly random: Random
  readonly onFault: StrategyFault
}

export class Router {
  readonly inFlight: InFlight
  readonly pool: Pool
  /** Where requests wait for which every backend is full. */
  readonly room: WaitingRoom
  /** A backend for a copy of a request: those of the mirror in turn. */
  readonly pickMirror: () => BackendState | undefined
  readonly #options: RouterOptions
  readonly #picker: Picker
  #rules: RouterRules
  #affinity: Affinity | undefined

  constructor(rules: RouterRules, strategy: StrategyChoice, options: RouterOptions) {
    this.#options = options
    this.#rules = rules
    this.#affinity = this.#affinityOf(rules)
    this.pool = new Pool(rules, {
      ...options,
      onCapacity: (backend) => {
        options.onCapacity(backend)
        if (backend.capacity === 'free') this.room.wake(backend)
      },
      onRefresh: () => this.room.wake(),
      onPanic: (panic, { eligible, total }) =>
        void options.emit('pool.panic_changed', {
          lb: { panic, eligible, total },
          severity: panic ? severity.error : severity.info,
          outcome: panic ? 'failure' : 'success',
        }),
    })
    this.room = new WaitingRoom({
      config: rules.queue,
      clock: options.clock,
      hasRoom: () => this.#hasRoom(),
    })
    this.pickMirror = rotation(() => this.pool.snapshot.mirrors)
    this.inFlight = new InFlight((backend, taken) =>
      taken ? this.pool.picked(backend) : this.pool.capacity.update(backend),
    )
    this.#picker = new Picker(this.#pickRules(strategy), {
      pool: this.pool,
      random: options.random,
      onFault: options.onFault,
    })
  }

  /** Goes by these rules from the next pick on; `sync` must follow. Bindings are forgotten if the affinity is another. */
  configure(rules: RouterRules, strategy: StrategyChoice): void {
    if (!isDeepStrictEqual(rules.affinity, this.#rules.affinity)) this.#affinity = this.#affinityOf(rules)
    this.#rules = rules
    this.pool.configure(rules)
    this.room.configure(rules.queue)
    this.#picker.use(this.#pickRules(strategy))
  }

  /** Makes the pool hold exactly these backends; returns those that left. */
  sync(backends: readonly Backend[]): BackendState[] {
    const { left } = this.pool.sync(backends)
    this.#affinity?.know(this.pool.states)
    return left
  }

  /** Never throws. */
  pick(request: PickRequest, tried: readonly BackendState[], turn?: Turn): Pick {
    return this.#picker.pick(request, tried, turn)
  }

  /**
   * Binds the client to the backend that this pick found, unless it was bound before; returns the `Set-Cookie` that tells it
   * so, if one does. To be called for the pick whose response the client gets, and for no other. Never throws.
   */
  bind(request: PickRequest, { backend, decision }: Pick): string | undefined {
    if (backend === undefined || decision.sticky === undefined || decision.sticky === 'sticky-kept') return undefined
    return this.#affinity?.bind(request, backend)
  }

  /** Gives a backend back, and tells the strategy how it went, if that says anything of the backend. */
  release(backend: BackendState, failed: boolean, observation: Observation | undefined): void {
    this.inFlight.release(backend, failed)
    if (observation !== undefined) this.#picker.observe(backend, observation)
  }

  close(): void {
    this.room.close()
    this.pool.close()
  }

  #pickRules(strategy: StrategyChoice): PickRules {
    const { split, traceRate } = this.#rules
    return { ...strategy, affinity: this.#affinity, groups: split === undefined ? [''] : Object.keys(split), traceRate }
  }

  #affinityOf({ affinity }: RouterRules): Affinity | undefined {
    if (affinity === undefined) return undefined
    return createAffinity(affinity, this.#options.clock, (fault) => this.#options.onFault('affinity', fault))
  }

  // Who is bound waits for one that may be no candidate: it is draining, or its weight is 0.
  #hasRoom(): boolean {
    const { candidates, panic } = this.pool.snapshot
    if (candidates.some(hasRoom)) return true
    if (this.#affinity === undefined) return false
    return this.pool.states.some((backend) => canKeep(backend, panic) && hasRoom(backend))
  }
}
