// What a witness says of the logs of a folder that it holds, and by which key.
import { join } from 'node:path'
import { parseWitnessKey, type WitnessKey } from './cosignature.ts'
import { type LogProblem, unreadable } from './log-report.ts'
import { readRegular } from './regular-file.ts'
import { orMissing } from './segments.ts'
import { accountsFor, missingIn, openStatement, type Statement, statementPath } from './statement.ts'

/** Who may have stated what a folder holds. */
export interface Witnesses {
  readonly keys: readonly WitnessKey[]
  /** Whether their word excuses missing lines: where something came from outside, only that of a given witness does. */
  readonly count: boolean
  /** Why the key that lies beside the logs cannot be known. */
  readonly problem?: LogProblem
}

/** The given ones, or the one whose key lies beside the logs. `alone`: nothing at all came from outside of the folder. */
export async function witnessesOf(
  instanceDir: string,
  given: readonly WitnessKey[] | undefined,
  alone: boolean,
): Promise<Witnesses> {
  if (given !== undefined) return { keys: given, count: true }
  const path = join(instanceDir, 'witness.vkey')
  let text: Buffer | undefined
  try {
    text = await orMissing(readRegular(path), undefined)
  } catch (error) {
    return { keys: [], count: alone, problem: unreadable(path, error) }
  }
  try {
    return { keys: text === undefined ? [] : [parseWitnessKey(text.toString('utf8'))], count: alone }
  } catch {
    return { keys: [], count: alone }
  }
}

/** What a witness states of a log, and whether that counts; undefined of a log that none holds. */
export type Stated =
  | { readonly statement: Statement; readonly by: WitnessKey; readonly counts: boolean }
  | { readonly fault: string }

export async function readStatement(logDir: string, { keys, count }: Witnesses): Promise<Stated | undefined> {
  const path = statementPath(logDir)
  let note: Buffer | undefined
  try {
    note = await orMissing(readRegular(path), undefined)
  } catch (error) {
    return { fault: unreadable(path, error).fact }
  }
  if (note === undefined) return undefined
  let fault = 'it is not signed by a known key'
  for (const by of keys) {
    const opened = openStatement(note, [by.notes])
    if (!('fault' in opened)) return { statement: opened, by, counts: count }
    fault = opened.fault
  }
  return { fault }
}

/** What a witness accounts for of the lines that are not here. */
export class Account {
  private readonly said: Exclude<Stated, { fault: string }> | undefined

  constructor(stated: Stated | undefined) {
    this.said = stated !== undefined && 'statement' in stated ? stated : undefined
  }

  /** The log that is told of. */
  get origin(): string | undefined {
    return this.said?.statement.origin
  }

  /** Whether these lines, of which there is at least one, may be missing. */
  excuses(first: number, last: number): boolean {
    return this.said?.counts === true && this.tells(first, last)
  }

  /** What is to be said of these lines where their absence is stated by nobody whose word counts. */
  doubt(first: number, last: number): string {
    if (this.said === undefined || this.said.counts || !this.tells(first, last)) return ''
    const { name, id } = this.said.by
    return `; the witness that states it, ${name}+${id.toString('hex')}, is not one that was given`
  }

  /** How many of the first lines never came. */
  missing(end: number): number {
    return this.said?.counts === true ? missingIn(this.said.statement, end) : 0
  }

  private tells(first: number, last: number): boolean {
    return this.said !== undefined && first <= last && accountsFor(this.said.statement, { first, last })
  }
}
