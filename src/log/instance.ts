// Claims the name that a writer writes under: never two processes in one folder.
import { hash } from 'node:crypto'
import { link, mkdir, readFile, rename, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import { randomHex } from '../random.ts'
import { bootId, host, isRunning, pid, pidNamespace, processStart } from '../runtime.ts'
import { hostPart } from './names.ts'
import { orMissing } from './segments.ts'

/** A held name. */
export interface Instance {
  readonly name: string
  readonly dir: string
  release(): Promise<void>
}

// More writers than this on one host and one folder are a mistake, not a deployment.
const maxSlots = 4096

/** Claims `name`, or else the first free of `<host>.0`, `<host>.1`, … Throws `instance-held` with the holder. */
export async function claimInstance(dir: string, name?: string): Promise<Instance> {
  let heldBy = ''
  for (let slot = 0; slot < maxSlots; slot++) {
    const wanted = name ?? `${hostPart()}.${slot}`
    const place = join(dir, wanted)
    await mkdir(place, { recursive: true, mode: 0o750 })
    const claimed = await claim(place)
    if ('release' in claimed) return { name: wanted, dir: place, release: claimed.release }
    heldBy = claimed.heldBy
    if (name !== undefined) break
  }
  throw new BalancerError('instance-held', `${name ?? `every slot of ${hostPart()}`} in ${dir}, by ${heldBy}`)
}

/** Who holds a lock. The nonce makes each claim another text, also by the same process. */
interface Holder {
  readonly pid: number
  readonly start?: string | undefined
  readonly boot?: string | undefined
  readonly host: string
  readonly ns?: string | undefined
  readonly nonce: string
}

/**
 * Locks are made by link(2), which fails if the name is taken. A dead one cannot just be deleted, for two processes may find
 * it at once and the second would delete the lock of the first. So who takes it over links `lock.<hash of the dead lock>`,
 * which only one can, and then renames that to `lock`. One that dies in between is taken over in the same way.
 */
async function claim(place: string): Promise<{ release: () => Promise<void> } | { heldBy: string }> {
  const facts = { pid, start: processStart(pid), boot: bootId(), host: host(), ns: pidNamespace() }
  const mine = JSON.stringify({ ...facts, nonce: randomHex(8) } satisfies Holder)
  const lock = join(place, 'lock')
  const fresh = join(place, `lock.${randomHex(8)}.tmp`)
  await writeFile(fresh, mine, { mode: 0o640, flag: 'wx' })
  try {
    for (;;) {
      const end = await lastLock(lock)
      if (end.heldBy !== undefined) return { heldBy: end.heldBy }
      if (!(await linked(fresh, end.next))) continue
      // The lock that was found dead may have been taken over and replaced since: then this one counts for nothing.
      if ((await lastLock(lock)).text !== mine) {
        await orMissing(unlink(end.next), undefined)
        continue
      }
      if (end.next !== lock) await rename(end.next, lock)
      for (const path of end.dead) await unlink(path).catch(() => undefined)
      return { release: () => orMissing(unlink(lock), undefined) }
    }
  } finally {
    // Where it stays it counts for nobody.
    await unlink(fresh).catch(() => undefined)
  }
}

/** Follows the dead locks to the one that lives, or to the name under which the next may be made. */
async function lastLock(lock: string): Promise<{ heldBy?: string; text?: string; next: string; dead: string[] }> {
  const dead: string[] = []
  for (let next = lock; ; ) {
    const text = await orMissing(readFile(next, 'utf8'), undefined)
    if (text === undefined) return { next, dead }
    const heldBy = livingHolder(text)
    if (heldBy !== undefined) return { heldBy, text, next, dead }
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

/**
 * Who holds a lock; undefined if nobody does any more. What is no lock, such as a file that a power loss emptied, is dead. A
 * process of another host or of another pid namespace cannot be seen from here: its lock counts as held, and is removed by
 * hand if it is known to be gone.
 */
function livingHolder(text: string): string | undefined {
  let holder: Partial<Holder>
  try {
    holder = JSON.parse(text) as Partial<Holder>
  } catch {
    return undefined
  }
  if (typeof holder?.pid !== 'number') return undefined
  // A fact that the system did not tell then or does not tell now decides nothing.
  const differs = (then: unknown, now: unknown): boolean => then !== undefined && now !== undefined && then !== now
  const named = `process ${holder.pid} on ${holder.host ?? host()}`
  if (differs(holder.host, host())) return named
  if (differs(holder.boot, bootId())) return undefined
  if (differs(holder.ns, pidNamespace())) return `${named}, in another pid namespace`
  return isRunning(holder.pid) && !differs(holder.start, processStart(holder.pid)) ? named : undefined
}
