// When a connection that was kept alive turns out to have been closed, and what may follow (RFC 9112 section 9.3.1).
import type { FailedResult } from '../outcome.ts'

/** How a request on a connection ended that failed. */
export interface Use {
  /** Whether the connection had carried another request before. */
  readonly reused: boolean
  /** Whether any byte of a response came. */
  readonly began: boolean
  readonly result: FailedResult
}

/**
 * Whether the connection was closed by the backend while nothing was on it, as far as one can know. What may be repeated is
 * sent again then, on a connection that is dialled for it: where one was stale the other idle ones of its time are likely to
 * be, and one that was just dialled never is, so that this happens once.
 */
export const isStale = ({ reused, began, result }: Use): boolean => reused && !began && result === 'backend-reset'
