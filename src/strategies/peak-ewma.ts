// peak-ewma: draws two distinct backends by weight, and takes the one whose answers cost less time for what it has to do.
import { z } from 'zod'
import { type BackendState, loadOf } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Draft, Observation, Strategy, StrategyDefinition } from '../strategy.ts'
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

/** What is known of one backend: two times that fade, each as it was when it was written. */
interface Cost {
  /** What its successes cost; below 0 while there was none. Written by observe and recall. */
  us: number
  atUs: number
  /** What its failures count as; 0 if there is none to remember. Written by observe and rebuild. */
  penaltyUs: number
  failedAtUs: number
  /** The last pool that it was a candidate of. Written by rebuild. */
  seenIn: number
}

/**
 * Peak EWMA after Finagle: a latency above the cost replaces it at once, one below it draws it down by e^(−Δt/τ), and so
 * does time without any. Reading alters nothing. The second of the two is taken if its cost × (load + 1), brought to the
 * weight of the first, is the lower one. Its load counts as one at least: at low traffic, where costs are equal, shares
 * follow the weights.
 */
class PeakEwma implements Strategy {
  readonly name = 'peak-ewma'
  readonly #clock: Clock
  readonly #decayUs: number
  readonly #penaltyUs: number
  readonly #draw = new WeightedDraw()
  /** By identity, so that they survive every change of the pool. */
  readonly #costs = new WeakMap<BackendState, Cost>()
  /** What those cost of which no success was seen: the median of the others at the last rebuild, or the first success of all. */
  #seed: Cost | undefined
  #pool = 0
  /** The time that `memory` or `recall` went by, for the pick that follows to go by the same. */
  #asOfUs: number | undefined

  constructor(clock: Clock, { decayMs, penaltyMs }: z.output<typeof schema>) {
    this.#clock = clock
    this.#decayUs = decayMs * 1000
    this.#penaltyUs = penaltyMs * 1000
  }

  /** O(n log n). Failures are forgotten when a backend comes back to the candidates: they would keep it from being tried. */
  rebuild(candidates: readonly BackendState[]): void {
    this.#draw.rebuild(candidates)
    this.#pool++
    const nowUs = this.#clock.monoUs()
    const known: number[] = []
    for (const candidate of candidates) {
      const cost = this.#costs.get(candidate)
      if (cost === undefined) continue
      if (cost.seenIn < this.#pool - 1) cost.penaltyUs = 0
      cost.seenIn = this.#pool
      if (cost.us >= 0) known.push(this.#faded(cost.us, cost.atUs, nowUs))
    }
    if (known.length > 0) this.#seed = costOf(known.sort((a, b) => a - b)[(known.length - 1) >> 1]!, nowUs)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    const first = this.#draw.first(candidates, draft)
    const second = first === -1 ? -1 : this.#draw.second(candidates, draft, first)
    if (second === -1) {
      draft.reason = 'only-eligible'
      return candidates[first]
    }
    const a = candidates[first]!
    const b = candidates[second]!
    const nowUs = this.#asOfUs ?? this.#clock.monoUs()
    this.#asOfUs = undefined
    const scoreA = scoreOf(this.#read(a, nowUs), loadOf(a) + 1)
    const scoreB = scoreOf(this.#read(b, nowUs), Math.max(1, ((loadOf(b) + 1) * a.weight) / b.weight))
    draft.trace?.compared(a, scoreA)
    draft.trace?.compared(b, scoreB)
    draft.reason = scoreA === scoreB ? 'equal-cost-of-two' : 'lower-cost-of-two'
    return scoreB < scoreA ? b : a
  }

  observe(backend: BackendState, { failed, latencyUs, retryAfterMs = 0 }: Observation): void {
    const nowUs = this.#clock.monoUs()
    let cost = this.#costs.get(backend)
    if (cost === undefined) {
      cost = costOf(-1, nowUs, this.#pool)
      this.#costs.set(backend, cost)
    }
    if (failed) {
      const us = Math.max(this.#penaltyUs, Math.min(retryAfterMs, mostRetryAfterMs) * 1000, latencyUs)
      cost.penaltyUs = Math.max(us, this.#faded(cost.penaltyUs, cost.failedAtUs, nowUs))
      cost.failedAtUs = nowUs
      return
    }
    // The first success is what the others are expected to cost as well.
    this.#seed ??= costOf(latencyUs, nowUs)
    const before = cost.us < 0 ? this.#seed : cost
    const rest = Math.exp(-Math.max(0, nowUs - before.atUs) / this.#decayUs)
    cost.us = latencyUs > before.us ? latencyUs : latencyUs * (1 - rest) + before.us * rest
    cost.atUs = nowUs
  }

  /** The costs in whole µs. */
  memory(candidates: readonly BackendState[]): number[] {
    const nowUs = this.#clock.monoUs()
    this.#asOfUs = nowUs
    return candidates.map((candidate) => this.#read(candidate, nowUs))
  }

  recall(candidates: readonly BackendState[], memory: readonly number[]): void {
    const nowUs = this.#clock.monoUs()
    this.#asOfUs = nowUs
    candidates.forEach((candidate, i) => {
      this.#costs.set(candidate, costOf(memory[i]!, nowUs, this.#pool))
    })
  }

  /** At least 1: where nothing was seen yet, loads alone are compared. */
  #read(backend: BackendState, nowUs: number): number {
    const own = this.#costs.get(backend)
    const cost = own === undefined || own.us < 0 ? this.#seed : own
    const us = cost === undefined ? 0 : this.#faded(cost.us, cost.atUs, nowUs)
    const penaltyUs = own === undefined || own.penaltyUs === 0 ? 0 : this.#faded(own.penaltyUs, own.failedAtUs, nowUs)
    return Math.max(1, Math.round(Math.max(us, penaltyUs)))
  }

  #faded(us: number, atUs: number, nowUs: number): number {
    return us * Math.exp(-Math.max(0, nowUs - atUs) / this.#decayUs)
  }
}

const costOf = (us: number, atUs: number, seenIn = 0): Cost => ({ us, atUs, penaltyUs: 0, failedAtUs: 0, seenIn })

const scoreOf = (us: number, load: number): number => Math.min(Math.round(us * load * grain), Number.MAX_SAFE_INTEGER)

export const peakEwma = {
  name: 'peak-ewma',
  options: schema,
  create: ({ clock }, options) => new PeakEwma(clock, options),
} as const satisfies StrategyDefinition<z.output<typeof schema>>
