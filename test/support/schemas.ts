// The JSON Schemas as the package ships them.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'

const dir = join(import.meta.dirname, '../../dist/schema')

export const shippedSchema = (name: string): { readonly $id: string } & Record<string, unknown> =>
  JSON.parse(readFileSync(join(dir, `${name}.json`), 'utf8'))

const compiled = new Map<string, ValidateFunction>()

/** What is wrong with an event by the shipped schema of this name; undefined if nothing is. */
export function schemaFaults(name: string, event: unknown): unknown {
  let validate = compiled.get(name)
  if (validate === undefined) {
    validate = new Ajv2020({ allErrors: true, strict: true }).compile(shippedSchema(name))
    compiled.set(name, validate)
  }
  return validate(event) ? undefined : validate.errors
}

/** The schema of an event of this name. */
export const schemaNameOf = (event: string): string => (event.startsWith('app.') ? 'app' : event)
