// Names of headers, parameters and cookies: how each is told, and whether its values are kept.

import type { ScrubFunction } from './scrub.ts'
import { safeText } from './text.ts'

/** Names whose values are kept, or that all are. */
export type Keep = 'all' | readonly string[]

export interface Name {
  readonly safe: string
  readonly kept: boolean
}

/** How many names of one request are told one by one. */
export const mostNames = 64

const nameLimit = 128
/** How many spellings of names are remembered: clients use a few dozen. One that invents them makes all be learnt anew. */
const mostRemembered = 512

/** A function that decides about a name, and remembers what it decided. */
export function namesOf(keep: Keep, scrub: ScrubFunction): (name: string) => Name {
  const listed = keep === 'all' ? undefined : new Set(keep)
  const known = new Map<string, Name>()
  return (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = { safe: safeText(name, nameLimit, scrub), kept: listed?.has(name) ?? true }
    if (known.size >= mostRemembered) known.clear()
    known.set(name, made)
    return made
  }
}
