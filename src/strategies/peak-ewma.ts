// peak-ewma: draws two distinct backends by weight, and takes the one whose answers cost less time for what it has to do.
import { z } from 'zod'
import { type BackendState, loadOf } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Draft, Observation, Strategy, StrategyDefinition } from '../strategy.ts'
import { Costs } from './cost/costs.ts'
import { WeightedDraw } from './draw/weighted.ts'

const schema = z.strictObject({
  /** In what time a cost falls to 1/e of what it was, in ms, when answers are faster or there are none. Default 10,000 (Finagle's). */
  decayMs: z.int().min(10).max(3_600_000).default(10_000),
  /** What a failure counts as having taken at least, in ms: a backend must not look fast by failing. Default 5,000 (linkerd's). */
  penaltyMs: z.int().min(1).max(300_000).default(5_000),
})

/** The longest time that a `Retry-After` counts for (linkerd's). */
const mostRetryAfterMs = 300_000
/** Scores are integers in this part of a µs, so that those of few µs and unequal weights still differ. */
const grain = 1024

/**
 * Two choices by peak EWMA (Finagle's). The second of the two is taken if its cost × (load + 1), brought to the weight of
 * the first, is the lower one. Its load counts as one at least: at low traffic, where costs are equal, shares follow the
 * weights. Constant time.
 */
class PeakEwma implements Strategy {
  readonly name = 'peak-ewma'
  readonly #clock: Clock
  readonly #penaltyUs: number
  readonly #costs: Costs
  readonly #draw = new WeightedDraw()
  /** The time that `memory` or `recall` went by, for the pick that follows to go by the same. */
  #asOfUs: number | undefined

  constructor(clock: Clock, { decayMs, penaltyMs }: z.output<typeof schema>) {
    this.#clock = clock
    this.#costs = new Costs(decayMs)
    this.#penaltyUs = penaltyMs * 1000
  }

  inherit(from: Strategy): void {
    if (from instanceof PeakEwma) this.#costs.share(from.#costs)
  }

  rebuild(candidates: readonly BackendState[]): void {
    this.#draw.rebuild(candidates)
    this.#costs.rebuild(candidates, this.#clock.monoUs())
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const asOfUs = this.#asOfUs
    this.#asOfUs = undefined
    const first = this.#draw.first(candidates, draft)
    const second = first === -1 ? -1 : this.#draw.second(candidates, draft, first)
    if (second === -1) {
      draft.reason = 'only-eligible'
      return candidates[first]
    }
    const a = candidates[first]!
    const b = candidates[second]!
    const nowUs = asOfUs ?? this.#clock.monoUs()
    const scoreA = scoreOf(this.#costs.read(a, nowUs), loadOf(a) + 1)
    const scoreB = scoreOf(this.#costs.read(b, nowUs), Math.max(1, ((loadOf(b) + 1) * a.weight) / b.weight))
    draft.trace?.compared(a, scoreA)
    draft.trace?.compared(b, scoreB)
    draft.reason = scoreA === scoreB ? 'equal-cost-of-two' : 'lower-cost-of-two'
    return scoreB < scoreA ? b : a
  }

  observe(backend: BackendState, { failed, latencyUs, incomplete, retryAfterMs = 0 }: Observation): void {
    const nowUs = this.#clock.monoUs()
    if (!failed) {
      if (incomplete) this.#costs.exceeded(backend, latencyUs, nowUs)
      else this.#costs.succeeded(backend, latencyUs, nowUs)
      return
    }
    const retryAfterUs = Math.min(retryAfterMs, mostRetryAfterMs) * 1000
    this.#costs.failed(backend, Math.max(this.#penaltyUs, retryAfterUs, latencyUs), nowUs)
  }

  /** The costs in whole µs. */
  memory(candidates: readonly BackendState[]): number[] {
    const nowUs = this.#clock.monoUs()
    this.#asOfUs = nowUs
    return candidates.map((candidate) => this.#costs.read(candidate, nowUs))
  }

  recall(candidates: readonly BackendState[], memory: readonly number[]): void {
    const nowUs = this.#clock.monoUs()
    this.#asOfUs = nowUs
    candidates.forEach((candidate, i) => {
      this.#costs.set(candidate, memory[i]!, nowUs)
    })
  }
}

const scoreOf = (us: number, load: number): number => Math.min(Math.round(us * load * grain), Number.MAX_SAFE_INTEGER)

export const peakEwma = {
  name: 'peak-ewma',
  options: schema,
  create: ({ clock }, options) => new PeakEwma(clock, options),
} as const satisfies StrategyDefinition<z.output<typeof schema>>
