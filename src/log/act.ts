// What is said of an act on a log: who does it, and what for.
import { z } from 'zod'
import { parseOptions } from '../parse.ts'
import type { ActNote } from '../sink.ts'

export const actor = z.string().min(1).max(256)
export const purpose = z.string().min(1).max(1024)

const actSchema = z.strictObject({
  by: actor.optional(),
  reason: purpose.optional(),
})

/** What was said of an act. `what` it is stands in the error. */
export const readAct = (note: ActNote, what: string): ActNote => parseOptions(actSchema, note, what)

/** As events tell it in which `reason` is a word of the library's own. */
export const actFacts = ({ by, reason }: ActNote): Readonly<Record<string, string>> => ({
  ...(by === undefined ? {} : { by }),
  ...(reason === undefined ? {} : { message: reason }),
})
