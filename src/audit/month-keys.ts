// Keys of pseudonyms: one for each calendar month, each of which can be destroyed by itself.
import { createHmac } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import { orMissing, syncDir } from '../log/segments.ts'
import { randomHex } from '../random.ts'
import { leastKeyBytes } from '../secret.ts'

/** Text stands for its bytes in UTF-8. */
export type MonthKey = string | Uint8Array

type KeySource = (month: string) => MonthKey | Promise<MonthKey>
type Pseudonym = (address: string) => string

/** A calendar month (UTC), and what makes its pseudonyms once its key is there. */
interface Month {
  readonly name: string
  readonly fromMs: number
  readonly untilMs: number
  pseudonym: Pseudonym | undefined
  /** When its key was asked for, in ms; undefined while nothing is under way. */
  askedMs: number
  asking: Promise<void> | undefined
}

/** How long before its month a key is asked for, so that it is there in time. */
const aheadMs = 86_400_000
/** How long a source that failed is left alone. */
const retryMs = 10_000

export class MonthKeys {
  readonly #source: KeySource
  readonly #clock: Clock
  readonly #onFault: (error: unknown) => void
  #month: Month
  #next: Month | undefined
  #fault: unknown

  constructor(source: KeySource, clock: Clock, onFault: (error: unknown) => void) {
    this.#source = source
    this.#clock = clock
    this.#onFault = onFault
    this.#month = monthAt(clock.now())
    this.#ask(this.#month)
  }

  /** The function that makes this month's pseudonyms, the same one for the whole month; undefined while its key is missing. */
  current(): Pseudonym | undefined {
    const now = this.#clock.now()
    if (now < this.#month.fromMs || now >= this.#month.untilMs) this.#turn(now)
    const month = this.#month
    if (month.pseudonym === undefined) this.#ask(month)
    if (now >= month.untilMs - aheadMs) {
      this.#next ??= monthAt(month.untilMs)
      if (this.#next.pseudonym === undefined) this.#ask(this.#next)
    }
    return month.pseudonym
  }

  async ready(): Promise<void> {
    const month = this.#month
    await month.asking
    if (month.pseudonym !== undefined) return
    const path = 'audit.redact.client.pseudonym.keys'
    const message = `no key for ${month.name}: ${reasonOf(this.#fault)}`
    throw new BalancerError('config-invalid', `${path}: ${message}`, {
      cause: this.#fault,
      problems: [{ path, message }],
    })
  }

  #turn(now: number): void {
    const next = this.#next
    this.#next = undefined
    this.#month = next !== undefined && now >= next.fromMs && now < next.untilMs ? next : monthAt(now)
  }

  #ask(month: Month): void {
    const now = this.#clock.now()
    if (month.asking !== undefined || Math.abs(now - month.askedMs) < retryMs) return
    month.askedMs = now
    try {
      const given = this.#source(month.name)
      if (!(given instanceof Promise)) return take(month, given)
      month.asking = given
        .then((key) => take(month, key))
        .catch((error: unknown) => this.#failed(error))
        .finally(() => {
          month.asking = undefined
        })
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    this.#fault = error
    this.#onFault(error)
  }
}

function monthAt(ms: number): Month {
  const date = new Date(ms)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return {
    name: date.toISOString().slice(0, 7),
    fromMs: Date.UTC(year, month),
    untilMs: Date.UTC(year, month + 1),
    pseudonym: undefined,
    askedMs: Number.NEGATIVE_INFINITY,
    asking: undefined,
  }
}

/** HMAC-SHA-256 of the address, its first 128 bits. */
function take(month: Month, given: unknown): void {
  const key = typeof given === 'string' || given instanceof Uint8Array ? Buffer.from(given as string) : Buffer.alloc(0)
  if (key.length < leastKeyBytes) throw new Error(`expected a key of at least ${leastKeyBytes} bytes`)
  const start = `p:${month.name}:`
  month.pseudonym = (address) => start + createHmac('sha256', key).update(address).digest('hex').slice(0, 32)
}

/**
 * Keys in files of a folder, each named as its month, made at need. Whoever makes one first has made it for all processes
 * that share the folder: it gets its name only when it is whole, and only if nobody has that name. A crash may leave it with a
 * second name, `<month>.<16 hex digits>`, or a key that never had one: the next call removes these, whatever their month.
 */
export function folderKeys(dir: string): KeySource {
  return async (month) => {
    const path = join(dir, month)
    await removeStrays(dir)
    for (;;) {
      const known = await readKey(path)
      if (known !== undefined) return known
      await makeKey(dir, path)
    }
  }
}

/** Rejects for one that cannot be removed: it may be that of a key which somebody has destroyed. */
async function removeStrays(dir: string): Promise<void> {
  const names = await orMissing(readdir(dir), [])
  for (const name of names.filter((one) => /^\d{4}-\d\d\.[0-9a-f]{16}$/.test(one)))
    await rm(join(dir, name), { force: true })
}

async function makeKey(dir: string, path: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const unnamed = `${path}.${randomHex(8)}`
  try {
    await writeFile(unnamed, `${randomHex(32)}\n`, { flag: 'wx', mode: 0o600, flush: true })
    await link(unnamed, path)
  } catch (error) {
    // Another process has made it first, or has taken this one for a stray.
    if (!['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await rm(unnamed, { force: true })
  }
  await syncDir(dir)
}

/** The text of a key without the line feed at its end; undefined if there is none. */
const readKey = async (path: string): Promise<string | undefined> =>
  (await orMissing(readFile(path, 'latin1'), undefined))?.trimEnd()
