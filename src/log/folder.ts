// Finds the instances and logs in an audit folder.
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { BalancerError } from '../errors.ts'
import { type LogName, logNames } from '../sink.ts'

export interface InstanceFolder {
  readonly name: string
  readonly dir: string
  /** Whether it is the folder that was asked for, and not one in it. */
  readonly root: boolean
  /** The logs that are there. */
  readonly logs: readonly { readonly log: LogName; readonly dir: string }[]
  /** Names of logs that were set aside, because signed lines were missing or altered when their writer started. */
  readonly aside: readonly string[]
}

/**
 * The instance that the folder is, and those in it, by name. Throws `log-invalid` if it is no folder, or holds none. That it is one
 * and holds others as well is never so by itself.
 */
export async function findInstances(dir: string): Promise<InstanceFolder[]> {
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
  }
  if (found.length === 0) throw new BalancerError('log-invalid', `${dir} holds no audit log`)
  return found
}

async function inspect(dir: string, root: boolean): Promise<InstanceFolder | undefined> {
  const names = await readdir(dir).catch((): string[] => [])
  const logs = logNames.filter((log) => names.includes(log)).map((log) => ({ log, dir: join(dir, log) }))
  const aside = names.filter((name) => /^(traffic|security|control)\.aside-/.test(name)).sort()
  if (logs.length === 0 && aside.length === 0 && !names.includes('vkey')) return undefined
  return { name: basename(resolve(dir)), dir, root, logs, aside }
}
