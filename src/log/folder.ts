// Finds the instances and logs in an audit folder.
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { BalancerError } from '../errors.ts'
import { type LogName, logNames } from '../sink.ts'

export interface InstanceFolder {
  readonly name: string
  readonly dir: string
  /** The logs that are there. */
  readonly logs: readonly { readonly log: LogName; readonly dir: string }[]
  /** Names of logs that were set aside, because signed lines were missing or altered when their writer started. */
  readonly aside: readonly string[]
}

/**
 * The instances in a folder, or the one that the folder is, by name. Throws `log-invalid` if it is no folder, or holds none.
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
  const own = await inspect(dir)
  if (own !== undefined) return [own]
  const found: InstanceFolder[] = []
  for (const name of names.sort()) {
    const instance = await inspect(join(dir, name))
    if (instance !== undefined) found.push(instance)
  }
  if (found.length === 0) throw new BalancerError('log-invalid', `${dir} holds no audit log`)
  return found
}

async function inspect(dir: string): Promise<InstanceFolder | undefined> {
  const names = await readdir(dir).catch((): string[] => [])
  const logs = logNames.filter((log) => names.includes(log)).map((log) => ({ log, dir: join(dir, log) }))
  const aside = names.filter((name) => /^(traffic|security|control)\.aside-/.test(name)).sort()
  if (logs.length === 0 && aside.length === 0 && !names.includes('vkey')) return undefined
  return { name: basename(resolve(dir)), dir, logs, aside }
}
