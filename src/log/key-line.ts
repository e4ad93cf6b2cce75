// The line by which a log goes over to another key, and what can be made of it.
import { type LoggedEvent, member } from './envelope.ts'
import { parseVkey, type Verifier } from './note.ts'

/** From the next checkpoint on, the second key signs. */
export interface KeyChange {
  readonly index: number
  readonly from: Verifier
  readonly to: Verifier
}

export const keyChangeMark = Buffer.from('"event_name":"audit.key_rotated"')

/** What a line says of a change of keys; undefined if it is no such line, or names what are no keys of one writer. */
export function keyChangeOf(event: LoggedEvent | undefined, index: number): KeyChange | undefined {
  if (event === undefined || member(event, 'event_name') !== 'audit.key_rotated') return undefined
  const [from, to] = [keyOf(member(event, 'log', 'from')), keyOf(member(event, 'log', 'to'))]
  return from !== undefined && to !== undefined && from.name === to.name ? { index, from, to } : undefined
}

function keyOf(value: unknown): Verifier | undefined {
  try {
    return typeof value === 'string' ? parseVkey(value) : undefined
  } catch {
    return undefined
  }
}

/**
 * The keys that these lead to, themselves included: by changes that the old key signed, from old to new. With `back` also from new to
 * old: that is good for a log that vouches for itself only.
 */
export function followKeys(keys: readonly Verifier[], changes: readonly KeyChange[], back = false): Verifier[] {
  const found = new Map(keys.map((key) => [key.vkey, key]))
  for (let before = -1; before !== found.size; ) {
    before = found.size
    for (const { from, to } of changes) {
      if (found.has(from.vkey) && !found.has(to.vkey)) found.set(to.vkey, to)
      if (back && found.has(to.vkey) && !found.has(from.vkey)) found.set(from.vkey, from)
    }
  }
  return [...found.values()]
}
