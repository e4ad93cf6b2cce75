// Legal holds: while one is in force, nothing is deleted of the logs that it names, in any instance of a folder.
import { link, mkdir, readdir, readFile, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { z } from 'zod'
import { type Clock, systemClock } from '../clock.ts'
import { BalancerError } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import { randomHex } from '../random.ts'
import type { ActNote } from '../sink.ts'
import { readAct } from './act.ts'
import { lookForInstances } from './folder.ts'
import {
  type Hold,
  holdName,
  holdSchema,
  isLiftedName,
  type Lifting,
  liftedName,
  readHold,
  readLifted,
  suffix,
  withLifting,
} from './hold-file.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'

export type HoldOptions = z.input<typeof holdSchema>

const holdsDir = (dir: string): string => join(dir, 'holds')
const liftedDir = (dir: string): string => join(holdsDir(dir), 'lifted')

/**
 * Places a hold on all instances below `dir`, those that come later too. In force when it resolves: writers look before each
 * deletion. Throws `config-invalid` for options that are not valid, if there is a hold of this name, and if `dir` is the folder of a
 * single instance, for no writer looks there; and `log-invalid` if there is no such folder.
 */
export async function placeHold(dir: string, options: HoldOptions, clock: Clock = systemClock): Promise<Hold> {
  const hold = { ...parseOptions(holdSchema, options, 'placeHold'), placed: new Date(clock.now()).toISOString() }
  await requireFolder(dir, 'placeHold')
  const folder = holdsDir(dir)
  await mkdir(folder, { recursive: true, mode: 0o750 })
  const fresh = await write(folder, `${JSON.stringify(hold)}\n`)
  try {
    await link(fresh, join(folder, hold.name + suffix))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new BalancerError('config-invalid', `placeHold: there is a hold named ${JSON.stringify(hold.name)}`)
  } finally {
    await unlink(fresh).catch(() => undefined)
  }
  await syncDir(folder)
  return hold
}

/**
 * Lifts a hold. `note` says who does, and what for. The file of the hold is kept below `holds/lifted`, with that and the time. Until
 * it is there the hold is in force: after a crash it is lifted by another call. A file that is no JSON object is moved as it is. Throws
 * `config-invalid` if there is no hold of this name, and for a `by` or `reason` that is empty or too long; and for `dir` as `placeHold`.
 *
 * The file first gets a name that only this call knows, so that no other hold of its name, which may be placed meanwhile, is touched.
 */
export async function liftHold(
  dir: string,
  name: string,
  note: ActNote = {},
  clock: Clock = systemClock,
): Promise<void> {
  const said = readAct(note, 'liftHold')
  await requireFolder(dir, 'liftHold')
  const folder = holdsDir(dir)
  const id = randomHex(4)
  const taken = join(folder, `${name}~${id}${suffix}`)
  // Another call may take it from this one: then that one lifts it.
  const text = (await take(folder, name, taken)) ? await orMissing(readFile(taken, 'utf8'), undefined) : undefined
  if (text === undefined) throw noHold(name)
  const at = new Date(clock.now()).toISOString()
  const marked = withLifting(text, { at, ...said })
  if (marked !== undefined) await rename(await write(folder, marked), taken)
  await mkdir(liftedDir(dir), { recursive: true, mode: 0o750 })
  if (!(await moved(taken, join(liftedDir(dir), liftedName(name, at, id))))) throw noHold(name)
  await syncDir(liftedDir(dir))
  await syncDir(folder)
}

const noHold = (name: string): BalancerError =>
  new BalancerError('config-invalid', `liftHold: there is no hold named ${JSON.stringify(name)}`)

/** Whether it was there. */
const moved = (from: string, to: string): Promise<boolean> =>
  orMissing(
    rename(from, to).then(() => true),
    false,
  )

/** Gives the file of a hold another name. False if there is none, also none of a call that did not come to its end. */
async function take(folder: string, name: string, taken: string): Promise<boolean> {
  if (!holdName.safeParse(name).success) return false
  const left = (await holdFiles(folder)).filter((file) => nameOf(file) === name)
  for (const file of [name + suffix, ...left]) {
    if (await moved(join(folder, file), taken)) return true
  }
  return false
}

/** Who asks for a hold in the wrong place must not think that there is one. */
async function requireFolder(dir: string, verb: string): Promise<void> {
  const { instances } = await lookForInstances(dir)
  if (instances.some(({ root }) => root))
    throw new BalancerError(
      'config-invalid',
      `${verb}: ${dir} is the folder of an instance: holds are in the one around it`,
    )
}

/** The holds that are in force, by name. Throws for `dir` as `placeHold`. */
export async function listHolds(dir: string): Promise<Hold[]> {
  await requireFolder(dir, 'listHolds')
  return holdsIn(dir)
}

/** As listHolds, for who knows the folder. */
export async function holdsIn(dir: string): Promise<Hold[]> {
  const folder = holdsDir(dir)
  const holds: Hold[] = []
  for (const file of await holdFiles(folder)) {
    const text = await orMissing(readFile(join(folder, file), 'utf8'), undefined)
    // A call that lifts it gives it another name first, and until the end of that call it is in force.
    if (text === undefined && !(await holdFiles(folder)).includes(file)) return holdsIn(dir)
    holds.push(readHold(nameOf(file), text ?? ''))
  }
  return holds
}

const holdFiles = async (folder: string): Promise<string[]> =>
  (await orMissing(readdir(folder), [])).filter((one) => !one.startsWith('.') && one.endsWith(suffix)).sort()

/** Behind a tilde, which no name of a hold has, stands the call that lifts it. */
const nameOf = (file: string): string => file.slice(0, -suffix.length).split('~')[0]!

/** The names of the files of holds that were lifted, in the order of time. */
export const listLifted = async (dir: string): Promise<string[]> =>
  (await orMissing(readdir(liftedDir(dir)), [])).filter(isLiftedName).sort()

/** What such a file says; undefined if it is gone. */
export async function liftedHold(
  dir: string,
  file: string,
): Promise<{ readonly hold: Hold; readonly lifting: Lifting } | undefined> {
  const text = await orMissing(readFile(join(liftedDir(dir), file), 'utf8'), undefined)
  return text === undefined ? undefined : readLifted(file, text)
}

/** Writes a file that is no hold yet. Its name is its own: two may place and lift at once. */
async function write(folder: string, text: string): Promise<string> {
  const fresh = join(folder, `.${randomHex(8)}`)
  await replaceFile(fresh, text, 0o640)
  return fresh
}
