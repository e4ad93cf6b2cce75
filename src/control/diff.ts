// What differs between two configurations, as records hold it.
import type { Json } from '../canonical.ts'
import { isSame, isWithheld } from '../secret.ts'

/** One place that changed. `path` is a JSON pointer (RFC 6901); `from` is absent where it was added, `to` where removed. */
interface Change {
  readonly path: string
  readonly from?: Json
  readonly to?: Json
}

export interface Difference {
  readonly changes: readonly Change[]
  /** The changed parts only, in their places, as they were and as they are. */
  readonly before: Json
  readonly after: Json
}

type Members = { readonly [key: string]: Json | undefined }
const isMembers = (value: Json | undefined): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isWithheld(value)

/**
 * Compares member by member; lists are compared whole. A secret that is another one is a change, also where both are told by
 * nothing but the same length.
 */
export function difference(before: Members, after: Members): Difference {
  const changes: Change[] = []
  const [was, is] = walk(before, after, '', changes)
  return { changes, before: was, after: is }
}

function walk(before: Members, after: Members, path: string, changes: Change[]): [Json, Json] {
  // Keys are ids of backends too, and one may be named like a member that every object has.
  const was: Record<string, Json> = Object.create(null)
  const is: Record<string, Json> = Object.create(null)
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const from = Object.hasOwn(before, key) ? before[key] : undefined
    const to = Object.hasOwn(after, key) ? after[key] : undefined
    const here = `${path}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (isMembers(from) && isMembers(to)) {
      const count = changes.length
      const [innerWas, innerIs] = walk(from, to, here, changes)
      if (changes.length > count) {
        was[key] = innerWas
        is[key] = innerIs
      }
    } else if (!isSame(from, to)) {
      changes.push({ path: here, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) })
      if (from !== undefined) was[key] = from
      if (to !== undefined) is[key] = to
    }
  }
  return [was, is]
}
