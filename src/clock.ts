// Time: the only place that reads a clock or sets a timer.

/** A timer that was set. */
export interface Timer {
  /** Cancels it; a second call, or one after it fired, does nothing. */
  cancel(): void
}

/** Where time comes from. Tests inject one that they move by hand. */
export interface Clock {
  /** Wall time in ms since the epoch. May step. */
  now(): number
  /** Monotonic time in whole µs; its origin is the start of the process. */
  monoUs(): number
  /**
   * Calls `fn` once, after `ms`. A timer does not keep the process alive unless `hold` is true: the library lives in
   * somebody else's service.
   */
  after(ms: number, fn: () => void, hold?: boolean): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monoUs: () => Math.trunc(performance.now() * 1000),
  after(ms, fn, hold = false) {
    const timer = setTimeout(fn, ms)
    if (!hold) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Calls `fn` in the next turn of the event loop, after what waits for that already. No clock decides when. */
export const afterTurn = (fn: () => void): void => void setImmediate(fn)

/** Resolves to `fallback` if `promise` has not settled within `ms`; keeps the process alive until then. */
export function within<T>(clock: Clock, promise: Promise<T>, ms: number, fallback: T): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(ms, () => resolve(fallback), true)
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}

/** A function that tells how many of these ms are left, from now on; never less than 0. */
export function timeLeft(clock: Clock, ms: number): () => number {
  const endUs = clock.monoUs() + ms * 1000
  return () => Math.max(0, (endUs - clock.monoUs()) / 1000)
}
