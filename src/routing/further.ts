// What may follow the first attempt of a request, and when: retries and hedges, by configuration, budget and experience.
import type { Clock } from '../clock.ts'
import type { RetryDenial } from '../outcome.ts'
import { Budget } from './budget.ts'
import type { HedgeConfig } from './hedge.ts'
import { Latencies } from './latencies.ts'
import { type RetryConfig, type RetryFacts, retryDenial } from './retry.ts'

interface Config {
  readonly retry: RetryConfig
  readonly hedge?: HedgeConfig | undefined
}

export class Further {
  readonly #clock: Clock
  readonly #config: () => Config
  readonly #budget: Budget
  readonly #latencies = new Latencies()

  /** `config` gives what is in force. */
  constructor(clock: Clock, config: () => Config) {
    this.#clock = clock
    this.#config = config
    this.#budget = new Budget(() => config().retry.budget)
  }

  /** Counts the first attempt of a request. */
  first(nowUs: number): void {
    this.#budget.request(nowUs)
  }

  /** Counts a further one: a retry, or a hedge. */
  extra(nowUs: number): void {
    this.#budget.spend(nowUs)
  }

  /** Whether a request of this method may be sent once more although the backend may have seen it. */
  repeats(method: string): boolean {
    return this.#config().retry.methods.includes(method)
  }

  /** How many bytes of a body are worth keeping. */
  keptBytes(method: string): number {
    const { retry, hedge } = this.#config()
    return (retry.retries > 0 || hedge !== undefined) && retry.methods.includes(method) ? retry.bodyBytes : 0
  }

  /** Whether a response of this status is set aside where a retry can follow. */
  setsAside(status: number): boolean {
    return this.#config().retry.statuses.includes(status)
  }

  /** Why no retry may follow, if none may. */
  denial(facts: RetryFacts): RetryDenial | undefined {
    return retryDenial(this.#config().retry, facts) ?? (this.inBudget() ? undefined : 'budget')
  }

  /** How long to wait before the next hedge of a request that has had so many, in ms. */
  hedgeDelayMs(method: string, hedges: number): number | undefined {
    const { hedge, retry } = this.#config()
    if (hedge === undefined || hedges >= hedge.max || !retry.methods.includes(method)) return undefined
    if ('delayMs' in hedge) return hedge.delayMs
    const us = this.#latencies.percentile(hedge.percentile)
    return us === undefined ? undefined : Math.max(hedge.minDelayMs, Math.ceil(us / 1000))
  }

  /** Whether the budget has room for a further attempt. */
  inBudget(): boolean {
    return this.#budget.allows(this.#clock.monoUs())
  }

  /** Takes in how long the head of a response took; or, for one that was not waited for, how long it was waited for. */
  waited(us: number): void {
    const { hedge } = this.#config()
    if (hedge !== undefined && 'percentile' in hedge) this.#latencies.record(us)
  }
}
