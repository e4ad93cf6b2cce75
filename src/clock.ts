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

/** What is longer would overflow a timer of Node, which would then fire at once. */
const mostTimerMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monoUs: () => Math.trunc(performance.now() * 1000),
  after(ms, fn, hold = false) {
    if (ms > mostTimerMs) return inTurns(ms, fn, hold)
    const timer = setTimeout(fn, ms)
    if (!hold) timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Waits by one timer after another; for `Infinity` until it is cancelled. */
function inTurns(ms: number, fn: () => void, hold: boolean): Timer {
  let timer: Timer
  const wait = (left: number): void => {
    timer =
      left > mostTimerMs
        ? systemClock.after(mostTimerMs, () => wait(left - mostTimerMs), hold)
        : systemClock.after(left, fn, hold)
  }
  wait(ms)
  return { cancel: () => timer.cancel() }
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

/** How long a `close` may take, in ms, where its caller does not say. */
const closeMs = 10_000

/** What the caller of a `close` gives it. */
export interface CloseOptions {
  /** How long it may take, in ms. `Infinity`: as long as it takes. Below 0 is 0, and what is no number the default. Default 10,000. */
  readonly deadlineMs?: number | undefined
}

export function deadlineOf(options: CloseOptions | undefined): number {
  const ms: unknown = options?.deadlineMs
  return typeof ms === 'number' && !Number.isNaN(ms) ? Math.max(0, ms) : closeMs
}
