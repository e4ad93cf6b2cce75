// The schema of a rule: an object that says by one of its members which kind of rule it is.
import { z } from 'zod'

/** `kinds` by that member: faults are told of the kind that was meant, and not of all that there are. */
export function ruleSchema<K extends Readonly<Record<string, z.ZodType>>>(kinds: K, error: string) {
  const kindOf = (given: object): string | undefined => Object.keys(kinds).find((key) => Object.hasOwn(given, key))
  return z
    .custom<z.input<K[keyof K]>>(
      (given) => typeof given === 'object' && given !== null && kindOf(given) !== undefined,
      error,
    )
    .transform((given, context): z.output<K[keyof K]> => {
      const parsed = kinds[kindOf(given as object)!]!.safeParse(given)
      if (parsed.success) return parsed.data as z.output<K[keyof K]>
      for (const issue of parsed.error.issues) context.issues.push({ ...issue, input: given } as never)
      return z.NEVER
    })
}
