// Claims the name that a writer writes under: never two processes in one folder.
import { hash } from 'node:crypto'
import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import { randomHex } from '../random.ts'
import { bootId, host, isRunning, pid, processStart } from '../runtime.ts'
import { orMissing } from './segments.ts'

/** A held name. */
export interface Instance {
  readonly name: string
  readonly dir: string
  release(): Promise<void>
}

// More writers than this on one host and one folder are a mistake, not a deployment.
const maxSlots = 4096

/** Claims `name`, or else the first free of `<host>.0`, `<host>.1`, … */
export async function claimInstance(dir: string, name?: string): Promise<Instance> {
  for (let slot = 0; slot < maxSlots; slot++) {
    const wanted = name ?? `${host()}.${slot}`
    const place = join(dir, wanted)
    await mkdir(place, { recursive: true, mode: 0o750 })
    const release = await claim(place)
    if (release !== undefined) return { name: wanted, dir: place, release }
    if (name !== undefined) break
  }
  throw new BalancerError('instance-held', `${name ?? `every slot of ${host()}`} in ${dir}`)
}

/** Who holds a lock. The nonce makes each claim another text, also by the same process. */
interface Holder {
  readonly pid: number
  readonly start?: string | undefined
  readonly boot?: string | undefined
  readonly nonce: string
}

/**
 * Locks are made by link(2), which fails if the name is taken. A dead one cannot just be deleted, for two processes may find
 * it at once and the second would delete the lock of the first. So who takes it over links `lock.<hash of the dead lock>`,
 * which only one can, and then renames that to `lock`. One that dies in between is taken over in the same way.
 */
async function claim(place: string): Promise<(() => Promise<void>) | undefined> {
  const mine = JSON.stringify({ pid, start: processStart(pid), boot: bootId(), nonce: randomHex(8) } satisfies Holder)
  const lock = join(place, 'lock')
  const fresh = join(place, `lock.${randomHex(8)}.tmp`)
  await writeFile(fresh, mine, { mode: 0o640, flag: 'wx' })
  try {
    for (;;) {
      const end = await lastLock(lock)
      if (end.held) return undefined
      if (!(await linked(fresh, end.next))) continue
      // The lock that was found dead may have been taken over and replaced since: then this one counts for nothing.
      if ((await lastLock(lock)).text !== mine) {
        await orMissing(unlink(end.next), undefined)
        continue
      }
      if (end.next !== lock) await rename(end.next, lock)
      for (const path of end.dead) await orMissing(unlink(path), undefined)
      return () => orMissing(unlink(lock), undefined)
    }
  } finally {
    await orMissing(unlink(fresh), undefined)
  }
}

/** Follows the dead locks to the one that lives, or to the name under which the next may be made. */
async function lastLock(lock: string): Promise<{ held: boolean; text?: string; next: string; dead: string[] }> {
  const dead: string[] = []
  for (let next = lock; ; ) {
    const text = await orMissing(readFile(next, 'utf8'), undefined)
    if (text === undefined) return { held: false, next, dead }
    if (isAlive(text)) return { held: true, text, next, dead }
    if (next !== lock) dead.push(next)
    next = `${lock}.${hash('sha256', text, 'hex').slice(0, 16)}`
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Whether the holder of a lock still runs. What is no lock, such as a file that a power loss emptied, is dead. */
function isAlive(text: string): boolean {
  let holder: Partial<Holder>
  try {
    holder = JSON.parse(text) as Partial<Holder>
  } catch {
    return false
  }
  if (typeof holder?.pid !== 'number' || !isRunning(holder.pid)) return false
  const facts = [
    [holder.boot, bootId()],
    [holder.start, processStart(holder.pid)],
  ]
  // A fact that the system did not tell then or does not tell now decides nothing.
  return facts.every(([then, now]) => then === undefined || now === undefined || then === now)
}
