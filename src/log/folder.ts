// Finds the instances and logs in an audit folder.
import { readdir, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { BalancerError } from '../errors.ts'
import { type LogName, logNames } from '../sink.ts'
import { isAsideName } from './names.ts'

export interface InstanceFolder {
  /** The name of the folder; in the folder of a service, as a witness has them, with that before it. */
  readonly name: string
  /** That of its writer, where a witness has the folder; undefined where nothing tells. */
  readonly service: string | undefined
  /** The writer that it is for: a witness tells the folders of one apart by `~2`, `~3` and so on. */
  readonly instance: string
  readonly dir: string
  /** Whether it is the folder that was asked for, and not one in it. */
  readonly root: boolean
  /** The logs that are there. */
  readonly logs: readonly { readonly log: LogName; readonly dir: string }[]
  /** Names of logs that were set aside, because their writer could not go on with them. */
  readonly aside: readonly string[]
}

/** A folder in which there may be logs, and nobody can tell. */
interface Unreadable {
  readonly path: string
  /** What the system says. */
  readonly fact: string
}

export interface FoundFolders {
  readonly instances: readonly InstanceFolder[]
  readonly unreadable: readonly Unreadable[]
}

/** As lookForInstances. Throws `log-invalid` also if there is none, or if not all can be read. */
export async function findInstances(dir: string): Promise<readonly InstanceFolder[]> {
  const { instances, unreadable } = await lookForInstances(dir)
  const [hidden] = unreadable
  if (hidden !== undefined) throw new BalancerError('log-invalid', `${hidden.path}: ${hidden.fact}`)
  if (instances.length === 0) throw holdsNone(dir)
  return instances
}

export const holdsNone = (dir: string): BalancerError => new BalancerError('log-invalid', `${dir} holds no audit log`)

/**
 * The instance that the folder is, and those in it, by name. Throws `log-invalid` if it is no folder. That it is one and holds others as
 * well is never so by itself.
 */
export async function lookForInstances(dir: string): Promise<FoundFolders> {
  let names: string[]
  try {
    if (!(await stat(dir)).isDirectory()) throw new BalancerError('log-invalid', `${dir} is not a folder`)
    names = await readdir(dir)
  } catch (error) {
    if (error instanceof BalancerError) throw error
    throw new BalancerError('log-invalid', `read ${dir}: ${(error as NodeJS.ErrnoException).code}`, { cause: error })
  }
  const search = new Search()
  const own = await search.inspect(dir)
  const instances: InstanceFolder[] = own === undefined ? [] : [{ ...own, root: true }]
  for (const name of names.sort()) {
    // Its logs are told of by the instance, and one that was set aside has a key of its own. The last is a part of a file system.
    if (own?.aside.includes(name) || own?.logs.some(({ log }) => log === name) || name === 'lost+found') continue
    const instance = await search.inspect(join(dir, name))
    if (instance !== undefined) instances.push(instance)
    else if (own === undefined) instances.push(...(await search.ofService(join(dir, name))))
  }
  return { instances, unreadable: search.unreadable }
}

class Search {
  readonly unreadable: Unreadable[] = []

  /** The instances of a service, in the folder of a witness. */
  async ofService(dir: string): Promise<InstanceFolder[]> {
    const found: InstanceFolder[] = []
    const service = basename(dir)
    for (const name of (await this.list(dir)).sort()) {
      const instance = await this.inspect(join(dir, name))
      if (instance === undefined) continue
      found.push({ ...instance, name: `${service}/${instance.name}`, service: service.replace(/~\d+$/, '') })
    }
    return found
  }

  async inspect(dir: string): Promise<InstanceFolder | undefined> {
    const names = await this.list(dir)
    const logs = logNames.filter((log) => names.includes(log)).map((log) => ({ log, dir: join(dir, log) }))
    const aside = names.filter(isAsideName).sort()
    if (logs.length === 0 && aside.length === 0 && !names.includes('vkey')) return undefined
    const name = basename(resolve(dir))
    return { name, service: undefined, instance: name.replace(/~\d+$/, ''), dir, root: false, logs, aside }
  }

  /** What is in a folder; nothing of what is a file, or has gone. */
  private async list(dir: string): Promise<string[]> {
    try {
      return await readdir(dir)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const isTold = this.unreadable.some(({ path }) => path === dir)
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && !isTold) {
        this.unreadable.push({ path: dir, fact: `it cannot be read: ${code}` })
      }
      return []
    }
  }
}
