// The options of formats, checked when one is made.
import { z } from 'zod'
import { nearest } from '../../nearest.ts'
import { parseOptions } from '../../parse.ts'

/** Throws `config-invalid` that names each option that is not valid, and of an unknown one the nearest that there is. */
export function checkOptions(shape: z.ZodRawShape, given: unknown, format: string): void {
  const names = Object.keys(shape)
  const schema = z.looseObject(shape).superRefine(
    (options, context) => {
      for (const name of Object.keys(options)) {
        if (names.includes(name)) continue
        const message = `unknown option${names.length === 0 ? '' : `; the nearest is \`${nearest(name, names)}\``}`
        context.addIssue({ code: 'custom', path: [name], message })
      }
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  )
  parseOptions(schema, given, `formats.${format}`)
}
