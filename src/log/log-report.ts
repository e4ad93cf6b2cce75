// What verification finds out about one log.
import type { LogName } from '../sink.ts'
import { type LoggedEvent, member } from './envelope.ts'
import { UnusableFile } from './regular-file.ts'

/** One thing that is wrong. */
export interface LogProblem {
  readonly file: string
  /** Number of the line in its file, from 1. */
  readonly line?: number
  /** Index of the line in its log. */
  readonly index?: number
  readonly fact: string
}

/** Sums of the `audit.gap` lines of a log. */
export interface Gaps {
  /** Events that were lost before they were lines. */
  lost: number
  /** Lines that a sink did not get, by its name. */
  readonly bySink: Record<string, number>
}

// A sink may have any name, also that of a member of all objects.
export const noGaps = (): Gaps => ({ lost: 0, bySink: Object.create(null) as Record<string, number> })

/** Adds what a line says is missing, if it says so. */
export function addGap(gaps: Gaps, event: LoggedEvent): void {
  if (member(event, 'event_name') !== 'audit.gap') return
  const [count, sink] = [member(event, 'log', 'count'), member(event, 'log', 'sink')]
  if (typeof count !== 'number' || !Number.isSafeInteger(count) || count < 0) return
  if (typeof sink !== 'string') gaps.lost += count
  else gaps.bySink[sink] = (gaps.bySink[sink] ?? 0) + count
}

// Where lines were rewritten there can be as many problems as lines: the first are what tells.
const maxProblems = 100

export class LogReport {
  origin: string | undefined
  /** Lines that are there. */
  lines = 0
  /** Lines that the checkpoint covers, deleted ones included. */
  signed = 0
  /** Whole lines behind those that the checkpoint covers. */
  unsigned = 0
  /** Lines at the front that retention has deleted, as a signed line tells; those of which none does are told by a problem. */
  pruned = 0
  /** Lines that the witness who holds the log never got, and of which it knows the hashes. */
  missing = 0
  /** What the lines say is missing: that is told, and no problem. */
  readonly gaps: Gaps = noGaps()
  /** So many lines are those that the roster, or a given checkpoint, has seen; undefined if neither knows the log. */
  pinned: number | undefined
  /** Name of the key that signed the checkpoint. */
  signedBy: string | undefined
  /** The signed root, in base64. */
  root: string | undefined
  /** The first problems; `problemCount` tells of how many. */
  readonly problems: LogProblem[] = []
  problemCount = 0
  /** The first things that are told besides, and are no problems: files that nobody reads, and what the roster says of the log. */
  readonly remarks: LogProblem[] = []

  constructor(readonly log: LogName) {}

  /** Puts the problems in the order of the lines; those of whole files come first. */
  sort(): void {
    this.problems.sort((a, b) => (a.index ?? -1) - (b.index ?? -1))
  }

  add(problem: LogProblem): void {
    this.problemCount++
    if (this.problems.length < maxProblems) this.problems.push(problem)
  }

  remark(remark: LogProblem): void {
    if (this.remarks.length < maxProblems) this.remarks.push(remark)
  }

  /** Adds what the system says of a file or folder. Throws any other error. */
  addUnreadable(file: string, error: unknown): void {
    this.add(unreadable(file, error))
  }
}

/** What the system says of a file or folder, as a problem. Throws any other error. */
export function unreadable(file: string, error: unknown): LogProblem {
  if (error instanceof UnusableFile) return { file: error.path, fact: `it cannot be read: ${error.fact}` }
  if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error
  const { code, path = file } = error as NodeJS.ErrnoException
  return { file: path, fact: `it cannot be read: ${code}` }
}
