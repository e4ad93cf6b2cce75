// Refusals: what a sink's write rejects with, and what it asks for by that.

export interface Asking {
  /** These lines, as they are, will never be accepted. */
  readonly permanent?: boolean
  /** The least pause before the next try, in ms. */
  readonly retryAfterMs?: number
  /** Indexes of the lines that will never be accepted; all others were. */
  readonly rejected?: readonly number[]
  /** How many lines will never be accepted, where it is not known which; all others were. */
  readonly rejectedCount?: number
  /** The index from which the lines of this log are asked for again. */
  readonly resumeAt?: number
}

/** A write that was not accepted. Its members are those that the contract of a sink names. */
export class Refusal extends Error implements Asking {
  override readonly name = 'Refusal'
  declare readonly permanent?: boolean
  declare readonly retryAfterMs?: number
  declare readonly rejected?: readonly number[]
  declare readonly rejectedCount?: number
  declare readonly resumeAt?: number

  constructor(message: string, asking: Asking = {}) {
    super(message)
    Object.assign(this, asking)
  }
}

/** Statuses that say that the body is what is wrong: it is refused whenever it comes. */
const ofTheBody = new Set([400, 413, 422])

/** What is told beside a status that somebody must do something about. */
const hints: Readonly<Record<number, string>> = {
  401: 'who sends is not known to it',
  403: 'who sends may not',
  404: 'there is no such place',
  405: 'it takes no POST there',
  407: 'a proxy wants to know who sends',
  415: 'it does not know the content type, or the compression',
}

/**
 * What a status other than 2xx asks for. Only one that blames the body makes the batch be given up: all others can pass, or
 * be mended, and nothing is lost while the log holds the lines.
 */
export function refusalOf(status: number, retryAfterMs: number): Refusal {
  const hint = hints[status] ?? (status >= 300 && status < 400 ? 'redirects are not followed' : undefined)
  return new Refusal(`the collector answered ${status}${hint === undefined ? '' : `: ${hint}`}`, {
    ...(ofTheBody.has(status) ? { permanent: true } : {}),
    ...(retryAfterMs > 0 ? { retryAfterMs } : {}),
  })
}
