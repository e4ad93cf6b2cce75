// Who may change what.
import type { Json } from '../canonical.ts'
import { type Clock, within } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { Actor } from '../event-parts.ts'

/** What an actor asks for. */
export interface ChangeRequest {
  readonly type: 'add-backend' | 'remove' | 'drain' | 'disable' | 'undrain' | 'set-weight' | 'update'
  /** The id of the backend that it is about, where it is about one. */
  readonly backend?: string
  /** The arguments of the call, with functions as their names. */
  readonly attempted: Json
}

/** Decides whether an actor may make a change. Anything but true refuses it: a throw, a rejection, no answer in 10 s too. */
export type Authorize = (actor: Actor, change: ChangeRequest) => boolean | Promise<boolean>

/** One that never answers must not hold up every later change. */
const timeoutMs = 10_000
const noAnswer = Symbol('no answer')

/** Resolves if the change is allowed; otherwise rejects with `change-refused`. */
export async function requireRight(
  authorize: Authorize | undefined,
  actor: Actor,
  change: ChangeRequest,
  clock: Clock,
): Promise<void> {
  if (authorize === undefined) return
  let allowed: unknown
  try {
    allowed = await within<unknown>(clock, Promise.resolve(authorize(actor, change)), timeoutMs, noAnswer)
  } catch (error) {
    throw new BalancerError(
      'change-refused',
      `authorize failed for ${change.type} by ${actor.id}: ${reasonOf(error)}`,
      { cause: error },
    )
  }
  if (allowed === true) return
  const silent = allowed === noAnswer ? `: authorize gave no answer within ${timeoutMs} ms` : ''
  throw new BalancerError('change-refused', `${change.type} by ${actor.type} ${actor.id}${silent}`)
}
