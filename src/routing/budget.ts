// The budget of extra attempts: retries and hedges together stay a share of the requests.
import { z } from 'zod'

export const budgetSchema = z.strictObject({
  /** Extra attempts in percent of the requests. Default 20. */
  percent: z.int().min(0).max(1000).default(20),
  /** Extra attempts per second that are allowed besides, so that little traffic can be retried too. Default 10. */
  minPerSecond: z.int().min(0).max(100_000).default(10),
})
export type BudgetConfig = z.output<typeof budgetSchema>

/** How far back requests and extra attempts count: the time that Finagle's budget has for its deposits. */
const windowS = 10

/**
 * After Finagle's `RetryBudget`: in no window of 10 s are there more extra attempts than `percent` of the requests in it and
 * 10 s of `minPerSecond`. Whole numbers in slots of one second, so that it is exact: over any time, extra attempts are at most
 * `percent` of all requests and that floor once for each 10 s begun.
 */
export class Budget {
  readonly #config: () => BudgetConfig
  readonly #requests = new Array<number>(windowS).fill(0)
  readonly #extras = new Array<number>(windowS).fill(0)
  #second = 0
  #requestsInWindow = 0
  #extrasInWindow = 0

  constructor(config: () => BudgetConfig) {
    this.#config = config
  }

  /** Counts a request. Times must not go back by more than what lies between two calls: an earlier one counts as now. */
  request(nowUs: number): void {
    this.#advance(nowUs)
    this.#requests[this.#second % windowS]!++
    this.#requestsInWindow++
  }

  /** Whether there is room for an extra attempt. */
  allows(nowUs: number): boolean {
    this.#advance(nowUs)
    const { percent, minPerSecond } = this.#config()
    return (this.#extrasInWindow + 1) * 100 <= this.#requestsInWindow * percent + minPerSecond * windowS * 100
  }

  /** Counts an extra attempt. */
  spend(nowUs: number): void {
    this.#advance(nowUs)
    this.#extras[this.#second % windowS]!++
    this.#extrasInWindow++
  }

  #advance(nowUs: number): void {
    const second = Math.floor(nowUs / 1_000_000)
    if (second <= this.#second) return
    const passed = Math.min(second - this.#second, windowS)
    for (let i = 1; i <= passed; i++) {
      const slot = (this.#second + i) % windowS
      this.#requestsInWindow -= this.#requests[slot]!
      this.#extrasInWindow -= this.#extras[slot]!
      this.#requests[slot] = 0
      this.#extras[slot] = 0
    }
    this.#second = second
  }
}
