// The name of the service: in every line, in the origin of each log and in the name of its key.
import { z } from 'zod'
import { parseOptions } from '../parse.ts'
import { env, safeName } from '../runtime.ts'

/** Origins are read as paths: a folder must be able to bear this name. */
export const serviceSchema = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,64}$/, 'expected 1 to 64 of the characters A-Z a-z 0-9 . _ -')

const environmentSchema = z.strictObject({ OTEL_SERVICE_NAME: serviceSchema })

/**
 * `OTEL_SERVICE_NAME`, where it is set: other characters of it become dashes, for it is meant for others too. Else `given`. Throws
 * `config-invalid` for one that is too long, rather than make one name of two.
 */
export function serviceOf(given: string): string {
  const name = env('OTEL_SERVICE_NAME')
  if (name === undefined) return given
  return parseOptions(environmentSchema, { OTEL_SERVICE_NAME: safeName(name) }, 'the environment').OTEL_SERVICE_NAME
}
