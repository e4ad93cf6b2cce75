// The types of the simulation's engine, for the tests.
import type { createBalancer } from '../../src/balancer.ts'
import type { BalancerOptions } from '../../src/config.ts'
import type { LeaseOutcome, PickReason } from '../../src/decision.ts'
import type { Random } from '../../src/random.ts'

export interface Behaviour {
  /** Service times are so many times the drawn ones. Default 1. */
  readonly slowness?: number
  /** How its requests end. Default: ok with status 200; everything else is a failure. */
  readonly outcome?: LeaseOutcome
  /** Answers nothing. */
  readonly stuck?: boolean
}

export interface Control {
  add(id: string, behaviour: Behaviour): Promise<void>
  drain(id: string): Promise<unknown>
  remove(id: string): Promise<unknown>
  set(id: string, behaviour: Behaviour): void
}

export interface Scenario {
  readonly backends: readonly string[]
  readonly weights?: Readonly<Record<string, number>>
  readonly behaviours?: Readonly<Record<string, Behaviour>>
  /** How many requests a backend works on at once. */
  readonly slots: number
  /** The mean time of service. */
  readonly meanMs: number
  /** The part of it that is exponential. Default 0.5; 0: all take the same time. */
  readonly spread?: number
  readonly ratePerSecond: number
  /** How long a client waits for an answer. */
  readonly patienceMs: number
  /** How long requests come. */
  readonly seconds: number
  /** What happens, in the order of its time, in seconds. */
  readonly steps?: readonly { readonly at: number; act(control: Control): unknown }[]
  /** Options of the balancer besides. */
  readonly options?: Partial<BalancerOptions>
}

export interface SimulatedPick {
  readonly atUs: number
  /** Undefined when nobody was eligible. */
  readonly backend: string | undefined
  readonly reason: PickReason
  readonly latencyUs: number
  readonly failed: boolean
}

export interface SimulatedChange {
  readonly atUs: number
  readonly backend: string
  readonly from: string
  readonly to: string
  readonly cause: string
}

export interface Simulation {
  readonly picks: readonly SimulatedPick[]
  readonly health: readonly SimulatedChange[]
}

export function simulate(
  library: { readonly createBalancer: typeof createBalancer; readonly seededRandom: (seed: number) => Random },
  run: {
    readonly strategy: NonNullable<BalancerOptions['strategy']>
    readonly scenario: Scenario
    readonly seed: number
  },
): Promise<Simulation>
