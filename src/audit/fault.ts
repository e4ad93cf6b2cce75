// Faults of a sink: what a rejection asks for, how long the pause after it is, and how long a call may take.
import type { Clock } from '../clock.ts'
import { below, type Random } from '../random.ts'

/** The pause before the n-th retry is drawn from 0 to min(cap, base · 2ⁿ): full jitter (M. Brooker, AWS, 2015). */
const pauseBaseMs = 250
const pauseCapMs = 30_000
/** A day: what is above could overflow a timer, which would then fire at once. */
const mostRetryAfterMs = 86_400_000

export interface Fault {
  /** What was written will never be accepted as it is. */
  readonly permanent: boolean
  readonly retryAfterMs: number
  /** Indexes of just those lines that will never be accepted; undefined if it does not say. */
  readonly rejected: readonly number[] | undefined
  /** How many lines will never be accepted, where the sink does not know which. */
  readonly rejectedCount: number | undefined
  /** Where the sink wants to go on in this log. */
  readonly resumeAt: number | undefined
}

/** What a rejection says of itself; never throws, whatever was thrown. */
export function faultOf(error: unknown): Fault {
  const retryAfterMs = told(error, 'retryAfterMs')
  const rejected = told(error, 'rejected')
  const rejectedCount = told(error, 'rejectedCount')
  const resumeAt = told(error, 'resumeAt')
  return {
    permanent: told(error, 'permanent') === true,
    // No number, or a negative one, asks for nothing.
    retryAfterMs: typeof retryAfterMs === 'number' && retryAfterMs > 0 ? Math.min(retryAfterMs, mostRetryAfterMs) : 0,
    rejected: Array.isArray(rejected) ? rejected.filter((index) => Number.isSafeInteger(index)) : undefined,
    rejectedCount:
      Number.isSafeInteger(rejectedCount) && (rejectedCount as number) > 0 ? (rejectedCount as number) : undefined,
    resumeAt: Number.isSafeInteger(resumeAt) && (resumeAt as number) >= 0 ? (resumeAt as number) : undefined,
  }
}

function told(error: unknown, name: keyof Fault): unknown {
  try {
    return typeof error === 'object' && error !== null ? (error as Record<string, unknown>)[name] : undefined
  } catch {
    return undefined
  }
}

/** The pause after so many failures in a row. */
export function pauseAfter(failures: number, random: Random, atLeastMs: number): number {
  const most = Math.min(pauseCapMs, pauseBaseMs * 2 ** Math.min(failures - 1, 20))
  return Math.max(atLeastMs, below(random, most))
}

/** What the sink is asked to do, for no longer than its timeout. A sink may throw where it should reject. */
export function limited(clock: Clock, timeoutMs: number, act: () => Promise<void> | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)))
    Promise.resolve()
      .then(act)
      .then(() => resolve(), reject)
      .finally(() => timer.cancel())
  })
}
