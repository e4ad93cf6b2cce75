// Reads the arguments of a verb: what stands at a place, and options that each have a value or none.
import { readFile } from 'node:fs/promises'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import { reasonOf } from '../errors.ts'
import { Pins } from '../log/pins.ts'
import { parseGiven } from '../log/verify-keys.ts'
import { InputError, UsageError } from './verb.ts'

export interface Arguments {
  /** The first argument that is no option: a folder, or what the verb reads instead. */
  readonly dir: string
  /** The others. */
  readonly rest: readonly string[]
  /** By the name of the option, without dashes. */
  readonly values: Readonly<Record<string, string | undefined>>
  readonly flags: ReadonlySet<string>
}

/** Text that was kept elsewhere. */
interface Evidence {
  readonly vkey?: string
  readonly roster?: string
  readonly checkpoints?: string
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
    parsed = parseArgs({ args: withValues(args, names), options, allowPositionals: true, strict: true })
  } catch (error) {
    // What follows the first line is advice on how to write a program.
    throw new UsageError(reasonOf(error).split('\n')[0])
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

/** Joins options with values that begin with a dash, such as `--limit -1`, which would be taken for options. */
function withValues(args: readonly string[], names: readonly string[]): string[] {
  const joined: string[] = []
  for (const arg of args) {
    const before = joined.at(-1)
    if (/^-[^-]/.test(arg) && before?.startsWith('--') && names.includes(before.slice(2)))
      joined[joined.length - 1] = `${before}=${arg}`
    else joined.push(arg)
  }
  return joined
}

export function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InputError(`${name}: expected a whole number, got ${JSON.stringify(text)}`)
  return Number(text)
}

/** The content of a file that an argument names. `what` it is stands in the error. */
export async function readGiven(path: string, what: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    throw new InputError(`cannot read the ${what} ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** What `--vkey`, `--roster` and `--checkpoint` name, as the options of a call. What is wrong with it is told with the name of its file. */
export async function readEvidence({ vkey, roster, checkpoint }: Arguments['values']): Promise<Evidence> {
  const evidence: { -readonly [key in keyof Evidence]: Evidence[key] } = {}
  if (vkey !== undefined) {
    evidence.vkey = (await readGiven(vkey, 'verifier key')).toString('utf8')
    parseGiven(evidence.vkey, `the verifier key ${vkey}`)
  }
  if (roster !== undefined) {
    evidence.roster = (await readGiven(roster, 'roster')).toString('utf8')
    Pins.parse({ roster: evidence.roster }, { roster: `the roster ${roster}` })
  }
  if (checkpoint !== undefined) {
    evidence.checkpoints = (await readGiven(checkpoint, 'checkpoint')).toString('utf8')
    Pins.parse({ checkpoints: evidence.checkpoints }, { checkpoints: `the checkpoint ${checkpoint}` })
  }
  return evidence
}
