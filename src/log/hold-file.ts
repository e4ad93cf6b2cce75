// The file of a legal hold: what stands in it while it is in force, and once it was lifted.
import { z } from 'zod'
import { type LogName, logNames } from '../sink.ts'
import { actor, purpose } from './act.ts'

export const suffix = '.json'

export const holdName = z
  .string()
  .regex(/^(?!\.)[A-Za-z0-9._-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ - , not a dot first')

export const holdSchema = z.strictObject({
  /** Of the characters A-Z a-z 0-9 . _ - . */
  name: holdName,
  /** The logs of which nothing is deleted. Default all. */
  logs: z
    .array(z.enum(logNames))
    .min(1)
    .default([...logNames]),
  /** Who asks for it. */
  by: actor,
  /** What for. */
  reason: purpose,
})

const liftingSchema = z.strictObject({
  at: z.iso.datetime(),
  by: actor.optional(),
  reason: purpose.optional(),
})

const fileSchema = holdSchema.extend({ placed: z.iso.datetime({ offset: true }), lifting: liftingSchema.optional() })

export interface Hold {
  readonly name: string
  readonly logs: readonly LogName[]
  readonly by: string
  readonly reason: string
  /** When, RFC 3339; empty for a file that is no hold, which counts as one of all logs. */
  readonly placed: string
}

/** When a hold was lifted, by whom and what for. */
export type Lifting = z.output<typeof liftingSchema>

/** What cannot be read may have been meant as a hold, and what is deleted does not come back. */
export function readHold(name: string, text: string): Hold {
  try {
    const { logs, by, reason, placed } = fileSchema.parse(JSON.parse(text))
    return { name, logs, by, reason, placed }
  } catch {
    return { name, logs: logNames, by: '', reason: 'the file is no hold', placed: '' }
  }
}

/** The text of a hold that says that it is being lifted, in the place of what it said of that before. Undefined for what is no JSON object. */
export function withLifting(text: string, lifting: Lifting): string | undefined {
  const hold = objectIn(text)
  return hold === undefined ? undefined : `${JSON.stringify({ ...hold, lifting })}\n`
}

/** The name of the file of a hold that was lifted then, by a call of this id. No name of a hold has a tilde. */
export const liftedName = (name: string, at: string, id: string): string =>
  `${at.replaceAll(':', '-')}-${name}~${id}${suffix}`

const lifted = /^(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d\.\d{3}Z)-([^~]+)~[0-9a-f]+\.json$/

export const isLiftedName = (file: string): boolean => lifted.test(file)

/** What is told of a file of that name. */
export function readLifted(file: string, text: string): { readonly hold: Hold; readonly lifting: Lifting } {
  const [, hour, minutes, seconds, name = ''] = lifted.exec(file) ?? []
  const said = liftingSchema.safeParse(objectIn(text)?.lifting)
  return { hold: readHold(name, text), lifting: said.data ?? { at: `${hour}:${minutes}:${seconds}` } }
}

function objectIn(text: string): { readonly lifting?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
  } catch {
    return undefined
  }
}
