// Legal holds: while one is in force, nothing is deleted of the logs that it names, in any instance of a folder.
import { link, mkdir, readdir, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { type Clock, systemClock } from '../clock.ts'
import { BalancerError } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import { randomHex } from '../random.ts'
import { type LogName, logNames } from '../sink.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'
import { printable } from './summary.ts'

const suffix = '.json'
const name = z
  .string()
  .regex(/^(?!\.)[A-Za-z0-9._-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ - , not a dot first')

const holdSchema = z.strictObject({
  /** Of the characters A-Z a-z 0-9 . _ - . */
  name,
  /** The logs of which nothing is deleted. Default all. */
  logs: z
    .array(z.enum(logNames))
    .min(1)
    .default([...logNames]),
  /** Who asks for it. */
  by: z.string().min(1).max(256),
  /** What for. */
  reason: z.string().min(1).max(1024),
})

const fileSchema = holdSchema.extend({ placed: z.string() })

export type HoldOptions = z.input<typeof holdSchema>

export interface Hold {
  readonly name: string
  readonly logs: readonly LogName[]
  readonly by: string
  readonly reason: string
  /** When, RFC 3339; empty for a file that is no hold, which counts as one of all logs. */
  readonly placed: string
}

const holdsDir = (dir: string): string => join(dir, 'holds')

/**
 * Places a hold on all instances below `dir`, those that come later too. In force when it resolves: writers look before each
 * deletion. Throws `config-invalid` for options that are not valid, and if there is a hold of this name.
 */
export async function placeHold(dir: string, options: HoldOptions, clock: Clock = systemClock): Promise<Hold> {
  const hold = { ...parseOptions(holdSchema, options, 'placeHold'), placed: new Date(clock.now()).toISOString() }
  const folder = holdsDir(dir)
  await mkdir(folder, { recursive: true, mode: 0o750 })
  const fresh = join(folder, `.${randomHex(8)}`)
  await replaceFile(fresh, `${JSON.stringify(hold)}\n`, 0o640)
  try {
    await link(fresh, join(folder, hold.name + suffix))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new BalancerError('config-invalid', `placeHold: there is a hold named ${JSON.stringify(hold.name)}`)
  } finally {
    await unlink(fresh)
  }
  await syncDir(folder)
  return hold
}

/** Lifts a hold. Throws `config-invalid` if there is none of this name. */
export async function liftHold(dir: string, holdName: string): Promise<void> {
  const known = name.safeParse(holdName).success
  const gone =
    known &&
    (await orMissing(
      unlink(join(holdsDir(dir), holdName + suffix)).then(() => true),
      false,
    ))
  if (!gone) throw new BalancerError('config-invalid', `liftHold: there is no hold named ${JSON.stringify(holdName)}`)
  await syncDir(holdsDir(dir))
}

/** The holds that are in force, by name. */
export async function listHolds(dir: string): Promise<Hold[]> {
  const names = (await orMissing(readdir(holdsDir(dir)), [])).filter(
    (one) => !one.startsWith('.') && one.endsWith(suffix),
  )
  const holds: Hold[] = []
  for (const file of names.sort()) {
    const text = await orMissing(readFile(join(holdsDir(dir), file), 'utf8'), undefined)
    if (text !== undefined) holds.push(read(file.slice(0, -suffix.length), text))
  }
  return holds
}

// What cannot be read may have been meant as a hold, and what is deleted does not come back.
function read(fileName: string, text: string): Hold {
  try {
    const { logs, by, reason, placed } = fileSchema.parse(JSON.parse(text))
    return { name: fileName, logs, by, reason, placed }
  } catch {
    return { name: fileName, logs: logNames, by: '', reason: 'the file is no hold', placed: '' }
  }
}

/** Follows the holds of a folder for one writer. */
export class HoldWatch {
  private known: ReadonlyMap<string, Hold> | undefined

  constructor(
    private readonly dir: string,
    private readonly tell: (facts: Readonly<Record<string, string | readonly string[]>>) => void,
  ) {}

  /** The logs of which nothing may be deleted, as of now. Tells what has changed since the last call, at first all. */
  async held(): Promise<ReadonlySet<LogName>> {
    const holds = await listHolds(this.dir)
    const now = new Map(holds.map((hold) => [hold.name, hold]))
    const { known } = this
    this.known = now
    for (const hold of known?.values() ?? []) if (!same(hold, now.get(hold.name))) this.changed(hold, 'lifted')
    for (const hold of holds) {
      if (known === undefined) this.changed(hold, 'in-force')
      else if (!same(hold, known.get(hold.name))) this.changed(hold, 'placed')
    }
    return new Set(holds.flatMap(({ logs }) => logs))
  }

  private changed(hold: Hold, change: string): void {
    const { by, reason, placed, logs } = hold
    this.tell({ hold: hold.name, change, logs, by: printable(by), reason: printable(reason), placed })
  }
}

const same = (one: Hold, other: Hold | undefined): boolean => JSON.stringify(one) === JSON.stringify(other)
