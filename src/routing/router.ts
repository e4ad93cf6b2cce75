// The router: pool, picker and what is in flight, as one.
import { z } from 'zod'
import type { Backend, BackendState } from '../backend.ts'
import type { Json } from '../canonical.ts'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Observation, Strategy } from '../strategy.ts'
import { type Affinity, type AffinityConfig, createAffinity } from './affinity.ts'
import type { StrategyFault } from './chooser.ts'
import { InFlight } from './in-flight.ts'
import { type Pick, Picker, type Turn } from './picker.ts'
import { Pool, type PoolOptions, type PoolRules } from './pool.ts'

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
}

export interface RouterOptions extends PoolOptions {
  readonly clock: Clock
  readonly random: Random
  readonly onFault: StrategyFault
}

export class Router {
  readonly inFlight: InFlight
  readonly pool: Pool
  readonly #clock: Clock
  readonly #picker: Picker
  #rules: RouterRules
  #affinity: Affinity | undefined

  constructor(rules: RouterRules, strategy: StrategyChoice, options: RouterOptions) {
    this.#clock = options.clock
    this.#rules = rules
    this.#affinity = rules.affinity === undefined ? undefined : createAffinity(rules.affinity, options.clock)
    this.pool = new Pool(rules, options)
    this.inFlight = new InFlight((backend, taken) =>
      taken ? this.pool.picked(backend) : this.pool.capacity.update(backend),
    )
    this.#picker = new Picker(
      { ...strategy, affinity: this.#affinity, traceRate: rules.traceRate },
      { pool: this.pool, random: options.random, onFault: options.onFault },
    )
  }

  /** Goes by these rules from the next pick on; `sync` must follow. Bindings are forgotten if the affinity is another. */
  configure(rules: RouterRules, strategy: StrategyChoice): void {
    if (rules.affinity !== this.#rules.affinity)
      this.#affinity = rules.affinity === undefined ? undefined : createAffinity(rules.affinity, this.#clock)
    this.#rules = rules
    this.pool.configure(rules)
    this.#picker.use({ ...strategy, affinity: this.#affinity, traceRate: rules.traceRate })
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

  /** A backend for a copy of a request. */
  pickMirror(request: PickRequest): BackendState | undefined {
    return this.#picker.pickMirror(request)
  }

  /** Gives a backend back, and tells the strategy how it went. */
  release(backend: BackendState, observation: Observation): void {
    this.inFlight.release(backend, observation.failed)
    this.#picker.observe(backend, observation)
  }

  close(): void {
    this.pool.close()
  }
}
