// Reads the arguments of a verb: one folder, and options that each have a value or none.
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { reasonOf } from '../errors.ts'
import { UsageError } from './verb.ts'

export interface Arguments {
  readonly dir: string
  /** By the name of the option, without dashes. */
  readonly values: Readonly<Record<string, string | undefined>>
  readonly flags: ReadonlySet<string>
}

export function readArgs(args: readonly string[], names: readonly string[], flags: readonly string[] = []): Arguments {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const name of names) options[name] = { type: 'string' }
  for (const name of flags) options[name] = { type: 'boolean' }
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(reasonOf(error))
  }
  const [dir, ...more] = parsed.positionals
  if (dir === undefined) throw new UsageError('the folder is missing')
  if (more.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(more[0])}`)
  const values: Record<string, string | undefined> = {}
  const set = new Set<string>()
  for (const [name, value] of Object.entries(parsed.values)) {
    if (typeof value === 'string') values[name] = value
    else if (value === true) set.add(name)
  }
  return { dir, values, flags: set }
}
