// Finds the instances and logs in an audit folder.
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { BalancerError } from '../errors.ts'
import { type LogName, logNames } from '../sink.ts'

export interface InstanceFolder {
  /** The name of the folder; in the folder of a service, as a witness has them, with that before it. */
  readonly name: string
  /** The writer that it is for: a witness tells the folders of one apart by `~2`, `~3` and so on. */
  readonly instance: string
  readonly dir: string
  /** Whether it is the folder that was asked for, and not one in it. */
  readonly root: boolean
  /** The logs that are there. */
  readonly logs: readonly { readonly log: LogName; readonly dir: string }[]
  /** Names of logs that were set aside, because signed lines were missing or altered when their writer started. */
  readonly aside: readonly string[]
}

/** As lookForInstances. Throws `log-invalid` also if there is none. */
export async function findInstances(dir: string): Promise<InstanceFolder[]> {
  const found = await lookForInstances(dir)
  if (found.length === 0) throw holdsNone(dir)
  return found
}

export const holdsNone = (dir: string): BalancerError => new BalancerError('log-invalid', `${dir} holds no audit log`)

/**
 * The instance that the folder is, and those in it, by name. Throws `log-invalid` if it is no folder. That it is one and holds others as
 * well is never so by itself.
 */
export async function lookForInstances(dir: string): Promise<InstanceFolder[]> {
  let names: string[]
  try {
    if (!(await stat(dir)).isDirectory()) throw new BalancerError('log-invalid', `${dir} is not a folder`)
    names = await readdir(dir)
  } catch (error) {
    if (error instanceof BalancerError) throw error
    throw new BalancerError('log-invalid', `read ${dir}: ${(error as NodeJS.ErrnoException).code}`, { cause: error })
  }
  const found: InstanceFolder[] = []
  const own = await inspect(dir, true)
  if (own !== undefined) found.push(own)
  for (const name of names.sort()) {
    // A log that was set aside has a key of its own, and is told of by its instance.
    if (own?.aside.includes(name)) continue
    const instance = await inspect(join(dir, name), false)
    if (instance !== undefined) found.push(instance)
    else if (own === undefined) found.push(...(await ofService(join(dir, name))))
  }
  return found
}

/** The instances of a service, in the folder of a witness. */
async function ofService(dir: string): Promise<InstanceFolder[]> {
  const found: InstanceFolder[] = []
  for (const name of (await readdir(dir).catch((): string[] => [])).sort()) {
    const instance = await inspect(join(dir, name), false)
    if (instance !== undefined) found.push({ ...instance, name: `${basename(dir)}/${instance.name}` })
  }
  return found
}

async function inspect(dir: string, root: boolean): Promise<InstanceFolder | undefined> {
  const names = await readdir(dir).catch((): string[] => [])
  const logs = logNames.filter((log) => names.includes(log)).map((log) => ({ log, dir: join(dir, log) }))
  const aside = names.filter((name) => /^(traffic|security|control)\.aside-/.test(name)).sort()
  if (logs.length === 0 && aside.length === 0 && !names.includes('vkey')) return undefined
  const name = basename(resolve(dir))
  return { name, instance: name.replace(/~\d+$/, ''), dir, root, logs, aside }
}
