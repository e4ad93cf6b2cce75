// The options of witnessSink.
import { z } from 'zod'
import { reasonOf } from '../../errors.ts'
import { parseWitnessKey } from '../../log/cosignature.ts'
import { checkSecurity, postShape } from './http-options.ts'
import { feedShape, nameSchema } from './options.ts'

/** A checkpoint as the witness has cosigned it. */
export interface Cosigned {
  readonly origin: string
  readonly size: number
  /** The signed note with the cosignature. */
  readonly note: string
}

const { filter: _, from: __, ...fed } = feedShape

export const witnessSinkSchema = z
  .strictObject({
    ...postShape,
    ...fed,
    /** The sink's name in faults, gaps and cursors. Default `witness`. */
    name: nameSchema.default('witness'),
    /** What the witness knows this node by: sent as `authorization: Bearer <token>`. Default none. */
    token: z.string().min(1).optional(),
    /** The verifier key of the witness: with it, a checkpoint counts as accepted only if it is cosigned by that key. Default any is. */
    vkey: z
      .string()
      .superRefine((text, context) => {
        try {
          parseWitnessKey(text)
        } catch (error) {
          context.addIssue({ code: 'custom', message: `expected the verifier key of a witness: ${reasonOf(error)}` })
        }
      })
      .optional(),
    /** Is called with each checkpoint that was cosigned: keep it where this node cannot change it. What it throws is ignored. Default none. */
    onCosigned: z
      .custom<(cosigned: Cosigned) => unknown>((value) => typeof value === 'function', 'expected a function')
      .optional(),
  })
  .superRefine((options, context) =>
    checkSecurity(options, (part, message) => context.addIssue({ code: 'custom', path: [part], message })),
  )

export type WitnessSinkOptions = z.input<typeof witnessSinkSchema>
