// A chooser: asks one strategy for one list of candidates, and outlasts what it does wrong.
import type { BackendState } from '../backend.ts'
import { type PickReason, pickReasons } from '../decision.ts'
import { reasonOf } from '../errors.ts'
import type { Draft, Observation, Strategy } from '../strategy.ts'

/** Told when a user's strategy throws, or returns a backend that it may not, or nobody where somebody could be. */
export type StrategyFault = (strategy: string, fault: string) => void

/** The reasons for which a strategy can have chosen somebody: the other two are ours. */
const chosenReasons: ReadonlySet<PickReason> = new Set(
  pickReasons.filter((reason) => reason !== 'sticky' && reason !== 'none-eligible'),
)

export class Chooser {
  readonly strategy: Strategy
  readonly #onFault: StrategyFault
  #built: readonly BackendState[] | undefined
  #members: ReadonlySet<BackendState> = new Set()
  /** Whether it could not be built for this list: it is not asked then. */
  #broken = false

  constructor(strategy: Strategy, onFault: StrategyFault) {
    this.strategy = strategy
    this.#onFault = onFault
  }

  /** Never throws. Builds the strategy for this list if the last one was another. */
  prepare(candidates: readonly BackendState[]): void {
    if (this.#built === candidates) return
    this.#built = candidates
    this.#members = new Set(candidates)
    this.#broken = !this.#guard(() => this.strategy.rebuild?.(candidates))
  }

  /** One of these candidates that the draft admits; undefined only if there is none. Never throws. */
  choose(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    if (!this.#broken) {
      const picked = this.#ask(candidates, draft)
      if (picked !== null) return picked
    }
    draft.reason = 'custom'
    return candidates.find((candidate) => draft.admits(candidate))
  }

  // Null if what it did cannot be taken.
  #ask(candidates: readonly BackendState[], draft: Draft): BackendState | undefined | null {
    try {
      const picked = this.strategy.pick(candidates, draft)
      if (picked !== undefined && this.#members.has(picked) && draft.admits(picked)) {
        if (!chosenReasons.has(draft.reason)) draft.reason = 'custom'
        return picked
      }
      if (picked === undefined && !candidates.some((candidate) => draft.admits(candidate))) return undefined
      this.#watch(picked)
      this.#onFault(
        this.strategy.name,
        `it picked ${picked === undefined ? 'nobody' : 'a backend that is not a candidate'}`,
      )
    } catch (error) {
      this.#onFault(this.strategy.name, reasonOf(error))
    }
    return null
  }

  /** Tells the strategy how it went. Never throws. */
  observe(backend: BackendState, observation: Observation): void {
    if (this.strategy.observe !== undefined) this.#guard(() => this.strategy.observe?.(backend, observation))
  }

  /** Hands on to the strategy what that of another chooser learned. Never throws. */
  inherit({ strategy }: Chooser): void {
    if (strategy !== this.strategy) this.#guard(() => this.strategy.inherit?.(strategy))
  }

  /** What the strategy remembers of these candidates. Never throws. */
  memory(candidates: readonly BackendState[]): number[] | undefined {
    let memory: number[] | undefined
    this.#guard(() => {
      memory = this.strategy.memory?.(candidates)
      return memory
    })
    return memory
  }

  // What should have been synchronous must not end the process when it rejects.
  #watch(result: unknown): void {
    if (result instanceof Promise) result.catch((error: unknown) => this.#onFault(this.strategy.name, reasonOf(error)))
  }

  #guard(act: () => unknown): boolean {
    try {
      this.#watch(act())
      return true
    } catch (error) {
      this.#onFault(this.strategy.name, reasonOf(error))
      return false
    }
  }
}
