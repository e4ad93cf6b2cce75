// The failure rate: exact counts of results over a sliding span of time.
import { z } from 'zod'

export const rateSchema = z.strictObject({
  /** The span that counts, in ms. It slides in steps of a tenth. Default 10,000. */
  windowMs: z.int().min(100).max(3_600_000).default(10_000),
  /** The share of failures that ejects a backend, in percent. Default 50. */
  failurePercent: z.int().min(1).max(100).default(50),
  /** How many results the span must hold at least. Default 20. */
  minRequests: z.int().min(1).max(1_000_000).default(20),
})

/** In steps of a tenth what is counted is at most a tenth shorter than the span, and never longer. */
const steps = 10

/**
 * Counts results in the step of time that is under way and the nine before it. Every result in there counts whole and alike;
 * an average that fades would weigh them by how many came after, and lose a burst among many (linkerd left one for such a
 * window). The time must not run backwards.
 */
export class RateWindow {
  readonly windowMs: number
  readonly #stepUs: number
  readonly #failed = new Float64Array(steps)
  readonly #passed = new Float64Array(steps)
  #step = 0
  failures = 0
  successes = 0

  constructor(windowMs: number) {
    this.windowMs = windowMs
    this.#stepUs = (windowMs * 1000) / steps
  }

  add(nowUs: number, failed: boolean): void {
    const step = Math.floor(nowUs / this.#stepUs)
    for (let next = Math.max(this.#step + 1, step - steps + 1); next <= step; next++) this.#empty(next % steps)
    this.#step = step
    const counts = failed ? this.#failed : this.#passed
    counts[step % steps]!++
    if (failed) this.failures++
    else this.successes++
  }

  clear(): void {
    for (let at = 0; at < steps; at++) this.#empty(at)
  }

  #empty(at: number): void {
    this.failures -= this.#failed[at]!
    this.successes -= this.#passed[at]!
    this.#failed[at] = 0
    this.#passed[at] = 0
  }
}
