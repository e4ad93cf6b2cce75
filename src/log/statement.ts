// What a witness states of a log that it holds: which lines it has no more, or never had, and only knows the hashes of.
import { join } from 'node:path'
import { type OpenedNote, openNote, type Verifier } from './note.ts'

/** Lines `first` to `last`. */
export interface LineRange {
  readonly first: number
  readonly last: number
}

export interface Statement {
  readonly origin: string
  /** Retention has deleted the lines below this index. */
  readonly pruned: number
  /** Lines that never came, in order. */
  readonly missing: readonly LineRange[]
}

// No checkpoint and no cosigned message begins so.
const header = 'auditlb/witness/v1'

/** Signed anew before lines go; a log without one is none that a witness holds. */
export const statementPath = (logDir: string): string => join(logDir, 'statement')

/** The text of the note: a line each for the header, the origin, the number that retention deleted below, and each range. */
export const formatStatement = ({ origin, pruned, missing }: Statement): string =>
  `${header}\n${origin}\npruned ${pruned}\n${missing.map(({ first, last }) => `missing ${first} ${last}\n`).join('')}`

const count = (text: string | undefined): number | undefined => {
  const value = Number(text)
  return text !== undefined && /^(0|[1-9]\d*)$/.test(text) && Number.isSafeInteger(value) ? value : undefined
}

/** Undefined if it is no statement. */
export function parseStatement(text: string): Statement | undefined {
  const [begin, origin, pruned, ...rest] = text.split('\n')
  if (begin !== header || !origin || rest.pop() !== '') return undefined
  const below = count(/^pruned (\S+)$/.exec(pruned ?? '')?.[1])
  if (below === undefined) return undefined
  const missing: LineRange[] = []
  for (const line of rest) {
    const [, from, to] = /^missing (\S+) (\S+)$/.exec(line) ?? []
    const [first, last] = [count(from), count(to)]
    if (first === undefined || last === undefined || last < first) return undefined
    missing.push({ first, last })
  }
  return { origin, pruned: below, missing }
}

/** The statement in a note, or what is wrong with it. */
export function openStatement(note: Buffer, keys: readonly Verifier[]): Statement | { readonly fault: string } {
  const opened: OpenedNote = openNote(note, keys)
  if ('fault' in opened) return { fault: opened.fault }
  return parseStatement(opened.text) ?? { fault: 'it does not tell which lines are held' }
}

/** Whether every line of a range is accounted for. */
export function accountsFor({ pruned, missing }: Statement, { first, last }: LineRange): boolean {
  let next = Math.max(first, pruned)
  for (const range of missing) {
    if (next > last) break
    if (range.first > next) return false
    next = Math.max(next, range.last + 1)
  }
  return next > last
}

/** How many of the first lines never came. */
export function missingIn(statement: Statement | undefined, end: number): number {
  let count = 0
  for (const { first, last } of statement?.missing ?? [])
    count += Math.max(0, Math.min(last + 1, end) - Math.max(first, statement!.pruned))
  return count
}
