// Reads the arguments of a verb: what stands at a place, and options that each have a value or none.
import { readFile } from 'node:fs/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { BalancerError, reasonOf } from '../errors.ts'
import { UsageError } from './verb.ts'

export interface Arguments {
  /** The first argument that is no option: a folder, or what the verb reads instead. */
  readonly dir: string
  /** The others. */
  readonly rest: readonly string[]
  /** By the name of the option, without dashes. */
  readonly values: Readonly<Record<string, string | undefined>>
  readonly flags: ReadonlySet<string>
}

export interface Expected {
  /** What must stand at each place. Default: a folder. */
  readonly places?: readonly string[]
  /** Options with a value. */
  readonly names?: readonly string[]
  /** Options without one. */
  readonly flags?: readonly string[]
}

export function readArgs(
  args: readonly string[],
  { places = ['folder'], names = [], flags = [] }: Expected,
): Arguments {
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const name of names) options[name] = { type: 'string' }
  for (const name of flags) options[name] = { type: 'boolean' }
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new UsageError(reasonOf(error))
  }
  const { positionals } = parsed
  const missing = places[positionals.length]
  if (missing !== undefined) throw new UsageError(`the ${missing} is missing`)
  if (positionals.length > places.length) {
    throw new UsageError(`unexpected argument ${JSON.stringify(positionals[places.length])}`)
  }
  const values: Record<string, string | undefined> = {}
  const set = new Set<string>()
  for (const [name, value] of Object.entries(parsed.values)) {
    if (typeof value === 'string') values[name] = value
    else if (value === true) set.add(name)
  }
  const [dir = '', ...rest] = positionals
  return { dir, rest, values, flags: set }
}

export function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${name}: expected a whole number, got ${JSON.stringify(text)}`)
  return Number(text)
}

/** The content of a file that an option names; undefined if it was not given. `what` it is stands in the error. */
export async function readGiven(path: string | undefined, what: string): Promise<Buffer | undefined> {
  if (path === undefined) return undefined
  try {
    return await readFile(path)
  } catch (error) {
    const fact = (error as NodeJS.ErrnoException).code
    throw new BalancerError('log-invalid', `read the ${what} ${path}: ${fact}`, { cause: error })
  }
}
