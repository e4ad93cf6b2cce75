// How long an idle connection may be used again: by what the backend says of that, and by what it does.

/** How much sooner than the backend says it is not used any more, in ms: the time that what is said needs to arrive. */
const mostMarginMs = 1000

/**
 * How long a connection may be idle and be used again, in ms, by the `Keep-Alive` field of its last response and by our own
 * setting, which it can only shorten. 0: not at all.
 */
export function idleMsOf(keepAlive: string | undefined, keepAliveMs: number): number {
  if (keepAlive === undefined) return keepAliveMs
  // Backends say the same again and again.
  if (keepAlive !== last.said || keepAliveMs !== last.keepAliveMs)
    last = { said: keepAlive, keepAliveMs, ms: read(keepAlive, keepAliveMs) }
  return last.ms
}

let last = { said: '', keepAliveMs: 0, ms: 0 }

function read(keepAlive: string, keepAliveMs: number): number {
  const seconds = /(?:^|[\s,;])timeout\s*=\s*"?(\d{1,9})/i.exec(keepAlive)?.[1]
  if (seconds === undefined) return keepAliveMs
  const hintMs = Number(seconds) * 1000
  return Math.min(keepAliveMs, hintMs - Math.min(mostMarginMs, hintMs / 2))
}

/** A connection that was used so lately is hardly being closed by the backend now, in µs. */
const youngUs = 1_000_000
/** What is learnt goes no further, in µs: a restart closes connections that were just used, and says nothing. */
const leastYoungUs = 10_000
/** For how long it is remembered that a backend closes sooner, in µs. */
const memoryUs = 60_000_000

/**
 * What a backend shows of its patience: after how long it closes an idle connection. Requests that must not be sent twice are
 * not sent on a connection that was idle for more than half of that, or for a second.
 */
export class Patience {
  #closedUs = Number.POSITIVE_INFINITY
  #seenUs = 0

  /** The backend has closed a connection that was idle for so long. */
  closed(idleUs: number, nowUs: number): void {
    if (idleUs > this.#closedUs && nowUs - this.#seenUs < memoryUs) return
    this.#closedUs = idleUs
    this.#seenUs = nowUs
  }

  /** The longest that a connection may have been idle for such a request, in µs. */
  youngUs(nowUs: number): number {
    return nowUs - this.#seenUs < memoryUs ? Math.min(youngUs, Math.max(leastYoungUs, this.#closedUs / 2)) : youngUs
  }
}
