// What waits for one sink: lines in order, cut into batches.
import { type Batch, type LogName, logNames } from '../sink.ts'

interface Run {
  readonly origin: string
  first: number
  lines: string[]
  bytes: number
}

export interface Lost {
  readonly origin: string
  readonly first: number
  readonly last: number
  readonly reason: 'backlog' | 'rejected'
}

export const sizeOf = ({ first, last }: Lost): number => last - first + 1

// What an auditor misses most is taken first, and has room when traffic has none.
const order = [...logNames].reverse()
const reserve = 1.25

/** Bounded by bytes. What does not fit is refused and counted as ranges; ranges of one log are consecutive. */
export class LineQueue {
  readonly #limit: number
  readonly #runs: Record<LogName, Run[]> = { traffic: [], security: [], control: [] }
  readonly #lost: Record<LogName, Lost[]> = { traffic: [], security: [], control: [] }
  bytes = 0
  count = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Returns whether there was room. A line that tells of a loss always has it: without it the loss would be silent. */
  push(log: LogName, origin: string, index: number, line: string, tellsLoss: boolean): boolean {
    const size = Buffer.byteLength(line) + 1
    if (!tellsLoss && this.bytes + size > (log === 'traffic' ? this.#limit : this.#limit * reserve)) {
      this.lose(log, { origin, first: index, last: index, reason: 'backlog' })
      return false
    }
    const runs = this.#runs[log]
    let run = runs[runs.length - 1]
    if (run === undefined || run.origin !== origin || run.first + run.lines.length !== index) {
      run = { origin, first: index, lines: [], bytes: 0 }
      runs.push(run)
    }
    run.lines.push(line)
    run.bytes += size
    this.bytes += size
    this.count++
    return true
  }

  /** Takes the next batch out, of one line at least; it counts no more. */
  take(mostLines: number, mostBytes: number): { log: LogName; batch: Batch } | undefined {
    const log = order.find((name) => this.#runs[name].length > 0)
    if (log === undefined) return undefined
    const run = this.#runs[log][0]!
    let bytes = 0
    let n = 0
    while (n < run.lines.length && (n === 0 || n < mostLines)) {
      const size = Buffer.byteLength(run.lines[n]!) + 1
      if (n > 0 && bytes + size > mostBytes) break
      bytes += size
      n++
    }
    const lines = run.lines.splice(0, n)
    const batch = { origin: run.origin, first: run.first, last: run.first + n - 1, lines, bytes }
    run.first += n
    run.bytes -= bytes
    this.bytes -= bytes
    this.count -= n
    if (run.lines.length === 0) this.#runs[log].shift()
    return { log, batch }
  }

  lose(log: LogName, range: Lost): void {
    const ranges = this.#lost[log]
    const previous = ranges[ranges.length - 1]
    const follows = previous?.origin === range.origin && previous.last + 1 === range.first
    if (previous !== undefined && follows && previous.reason === range.reason) {
      ranges[ranges.length - 1] = { ...previous, last: range.last }
    } else {
      ranges.push(range)
    }
  }

  /** The ranges that were lost since the last call. */
  takeLost(): { log: LogName; range: Lost }[] {
    return logNames.flatMap((log) => this.#lost[log].splice(0).map((range) => ({ log, range })))
  }
}
