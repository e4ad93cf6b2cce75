// What the answers of each backend cost: two times that fade, that of its successes and that of its failures.
import type { BackendState } from '../../backend.ts'

interface Cost {
  /** What its successes cost at `atUs`; below 0 while there was none. */
  us: number
  atUs: number
  /** What its failures counted as at `failedAtUs`; 0 if there is none to remember. */
  penaltyUs: number
  failedAtUs: number
  /** Whether its health has taken it out of the list. */
  out: boolean
}

/**
 * Peak EWMA (Finagle): a time above the cost replaces it at once, one below it draws it down by e^(−Δt/τ), and so does time
 * without any. A failure fades in the same way. Reading alters nothing. Costs are kept by identity: they survive every
 * change of the pool. Told twice of the same end at the same time, they are as if told once: several lists can share them.
 */
export class Costs {
  readonly #decayUs: number
  #costs = new WeakMap<BackendState, Cost>()
  /** What those cost of which no success was seen: the median of the others at the last rebuild, or the first success of all. */
  #seed: Cost | undefined
  #candidates: readonly BackendState[] = []

  constructor(decayMs: number) {
    this.#decayUs = decayMs * 1000
  }

  /** Goes by the costs that the other one keeps, and both keep them from now on. */
  share(other: Costs): void {
    this.#costs = other.#costs
    this.#seed = other.#seed
  }

  /**
   * O(n log n). One that its health lets back begins anew: its failures, which would keep it from being tried, are forgotten,
   * and its cost, which has faded meanwhile, is not below the median.
   */
  rebuild(candidates: readonly BackendState[], nowUs: number): void {
    const present = new Set(candidates)
    const back: Cost[] = []
    const known: number[] = []
    for (const candidate of candidates) {
      const cost = this.#costs.get(candidate)
      if (cost === undefined) continue
      if (cost.out) back.push(cost)
      else if (cost.us >= 0) known.push(this.#faded(cost.us, cost.atUs, nowUs))
    }
    if (known.length > 0) this.#seed = costOf(known.sort((a, b) => a - b)[(known.length - 1) >> 1]!, nowUs)
    for (const cost of back) this.#readmit(cost, nowUs)
    for (const gone of this.#candidates) {
      const cost = present.has(gone) ? undefined : this.#costs.get(gone)
      if (cost !== undefined) cost.out ||= isOut(gone)
    }
    this.#candidates = candidates
  }

  #readmit(cost: Cost, nowUs: number): void {
    const median = this.#seed === undefined ? 0 : this.#faded(this.#seed.us, this.#seed.atUs, nowUs)
    cost.out = false
    cost.penaltyUs = 0
    if (cost.us < 0 || this.#faded(cost.us, cost.atUs, nowUs) >= median) return
    cost.us = median
    cost.atUs = nowUs
  }

  succeeded(backend: BackendState, us: number, nowUs: number): void {
    const cost = this.#of(backend, nowUs)
    // The first success is what the others are expected to cost as well.
    this.#seed ??= costOf(us, nowUs)
    const before = cost.us < 0 ? this.#seed : cost
    const rest = this.#rest(before.atUs, nowUs)
    cost.us = us > before.us ? us : us * (1 - rest) + before.us * rest
    cost.atUs = nowUs
  }

  /** Takes in that an answer would have taken longer than this: raises the cost of its successes, or alters nothing. */
  exceeded(backend: BackendState, us: number, nowUs: number): void {
    const own = this.#costs.get(backend)
    const known = own === undefined || own.us < 0 ? this.#seed : own
    if (known !== undefined && us <= this.#faded(known.us, known.atUs, nowUs)) return
    const cost = own ?? this.#of(backend, nowUs)
    cost.us = us
    cost.atUs = nowUs
  }

  failed(backend: BackendState, us: number, nowUs: number): void {
    const cost = this.#of(backend, nowUs)
    cost.penaltyUs = Math.max(us, this.#faded(cost.penaltyUs, cost.failedAtUs, nowUs))
    cost.failedAtUs = nowUs
  }

  set(backend: BackendState, us: number, nowUs: number): void {
    this.#costs.set(backend, costOf(us, nowUs))
  }

  /** In whole µs, at least 1: where nothing was seen yet, loads alone are compared. */
  read(backend: BackendState, nowUs: number): number {
    const own = this.#costs.get(backend)
    const cost = own === undefined || own.us < 0 ? this.#seed : own
    const us = cost === undefined ? 0 : this.#faded(cost.us, cost.atUs, nowUs)
    const penaltyUs = own === undefined || own.penaltyUs === 0 ? 0 : this.#faded(own.penaltyUs, own.failedAtUs, nowUs)
    return Math.max(1, Math.round(Math.max(us, penaltyUs)))
  }

  #of(backend: BackendState, nowUs: number): Cost {
    let cost = this.#costs.get(backend)
    if (cost === undefined) {
      cost = costOf(-1, nowUs)
      this.#costs.set(backend, cost)
    }
    return cost
  }

  #faded(us: number, atUs: number, nowUs: number): number {
    return us * this.#rest(atUs, nowUs)
  }

  #rest(atUs: number, nowUs: number): number {
    return Math.exp(-Math.max(0, nowUs - atUs) / this.#decayUs)
  }
}

const isOut = ({ active, passive }: BackendState): boolean => active === 'unhealthy' || passive === 'ejected'

const costOf = (us: number, atUs: number): Cost => ({
  us,
  atUs,
  penaltyUs: 0,
  failedAtUs: 0,
  out: false,
})
