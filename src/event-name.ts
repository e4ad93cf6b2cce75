// The name of an event in a filter: one that there is, or the beginning of some.
import { z } from 'zod'
import { BalancerError } from './errors.ts'
import { eventTable } from './events.ts'
import { nearest } from './nearest.ts'
import { kindOf, quoted } from './shown.ts'

const names = Object.keys(eventTable)
const patterns = [...new Set(names.map((name) => `${name.split('.')[0]}.*`))]

/** The host's own events are its to name. */
const own = 'app.'

function isKnown(text: string): boolean {
  if (!text.endsWith('*')) return names.includes(text) || text.startsWith(own)
  const start = text.slice(0, -1)
  return [...names, own].some((name) => name.startsWith(start)) || start.startsWith(own)
}

/** Throws `config-invalid` for a name that no event has, and that `*` for all is not. */
export function mustBeHeard(name: unknown): void {
  if (name === '*' || (typeof name === 'string' && !name.endsWith('*') && isKnown(name))) return
  const given = typeof name === 'string' ? quoted(name) : kindOf(name)
  const isWhole = typeof name === 'string' && !name.endsWith('*')
  const instead = isWhole
    ? `; the nearest is ${quoted(nearest(name, names))}`
    : ': expected a whole name, or `*` for all'
  throw new BalancerError('config-invalid', `there is no event ${given} to listen to${instead}`)
}

/** Names with a `*` behind match all that begin so. Of those that are not `app.…` there must be one. */
export const eventNameSchema = z
  .string()
  .min(1)
  .max(128)
  .refine((text) => text === '' || text.length > 128 || isKnown(text), {
    error: ({ input }) =>
      `there is no event ${JSON.stringify(input)}; the nearest is ${JSON.stringify(nearest(String(input), [...names, ...patterns]))}`,
  })
