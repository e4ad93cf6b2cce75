// What verification finds out about one log.
import type { LogName } from '../sink.ts'

/** One thing that is wrong. */
export interface LogProblem {
  readonly file: string
  /** Number of the line in its file, from 1. */
  readonly line?: number
  /** Index of the line in its log. */
  readonly index?: number
  readonly fact: string
}

// One cut or inserted line makes all that follow it in its segment wrong: the first are what tells.
const maxProblems = 100

export class LogReport {
  origin: string | undefined
  /** Lines that are there. */
  lines = 0
  /** Lines that the checkpoint covers, deleted ones included. */
  signed = 0
  /** Whole lines behind those that the checkpoint covers. */
  unsigned = 0
  /** Lines at the front that retention has deleted. */
  pruned = 0
  /** Name of the key that signed the checkpoint. */
  signedBy: string | undefined
  /** The signed root, in base64. */
  root: string | undefined
  /** The first problems; `problemCount` tells of how many. */
  readonly problems: LogProblem[] = []
  problemCount = 0

  constructor(readonly log: LogName) {}

  /** Puts the problems in the order of the lines; those of whole files come first. */
  sort(): void {
    this.problems.sort((a, b) => (a.index ?? -1) - (b.index ?? -1))
  }

  add(problem: LogProblem): void {
    this.problemCount++
    if (this.problems.length < maxProblems) this.problems.push(problem)
  }

  /** Adds what the system says of a file or folder. Throws any other error. */
  addUnreadable(file: string, error: unknown): void {
    if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error
    const { code, path = file } = error as NodeJS.ErrnoException
    this.add({ file: path, fact: `it cannot be read: ${code}` })
  }
}
