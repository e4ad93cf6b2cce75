// What the calls of verification are given to hold a log, a stream or a proof against.
import { z } from 'zod'

/** What a witness has seen: its roster as JSON, or the object that `witness.roster()` returns. Members that are not told here are passed over. */
export type GivenRoster = string | { readonly origins: Readonly<Record<string, object>> }

// `undefined` is refused: a variable that is not set would else switch a check off without a word.
const given = <T>(expected: string, is: (value: unknown) => boolean) =>
  z
    .custom<T>(is, {
      error: ({ input }) =>
        input === undefined
          ? `expected ${expected}, got undefined: leave it out for no such check`
          : `expected ${expected}`,
    })
    .exactOptional()

const isText = (value: unknown): boolean => typeof value === 'string'

const vkey = given<string>('text', isText)
const evidence = {
  vkey,
  roster: given<GivenRoster>(
    'a roster, as text or as an object',
    (value) => isText(value) || (typeof value === 'object' && value !== null),
  ),
  checkpoints: given<string>('text', isText),
}

export const verifyLogSchema = z.strictObject(evidence)

export const verifyStreamSchema = z.strictObject({ ...evidence, sink: z.string().min(1).default('stdout') })

export const verifyProofSchema = z.strictObject({
  vkey,
  line: given<string | Uint8Array>('text or bytes', (value) => isText(value) || value instanceof Uint8Array),
})
