// What a witness answers: a value where it took something, thrown where it refused.

export interface Answered {
  readonly status: number
  /** Text as it is, or an object as JSON. */
  readonly body: string | object
  readonly headers?: Readonly<Record<string, string>>
}

/** A refusal. Its body is `{ error, message, … }`, save where another protocol says what it is. */
export class Refusal extends Error implements Answered {
  override readonly name = 'Refusal'
  readonly body: string | object
  readonly headers: Readonly<Record<string, string>>

  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    more: {
      readonly members?: object
      readonly body?: string
      readonly headers?: Readonly<Record<string, string>>
    } = {},
  ) {
    super(message)
    this.body = more.body ?? { error: code, message, ...more.members }
    this.headers = more.headers ?? {}
  }
}

export const malformed = (message: string): Refusal => new Refusal(400, 'malformed', message)

/** Comes again later: the sender keeps what it has. */
export const busy = (message: string, retryAfterS = 1): Refusal =>
  new Refusal(503, 'busy', message, { headers: { 'retry-after': String(retryAfterS) } })

/** The sender is to go on from where the lines end that are here. */
export const gap = (origin: string, size: number): Refusal =>
  new Refusal(409, 'gap', `${origin} has ${size} lines here: go on from there`, { members: { size } })
