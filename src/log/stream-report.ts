// What verification finds out about one log in a stream.
import { type Gaps, type LogProblem, noGaps } from './log-report.ts'

/** Lines from `first` to `last`, both included. */
export interface Range {
  readonly first: number
  readonly last: number
}

// The first are what tells; all are counted.
const maxKept = 100

export class StreamLogReport {
  /** Different lines that came by. */
  lines = 0
  /** Index of the first and of the last of them. */
  first: number | undefined
  last: number | undefined
  /** Lines that a checkpoint in the stream covers, or one that was given, and that are those that it covers. */
  checked = 0
  /** The index behind the last of them. */
  checkedThrough: number | undefined
  /** The size of the first checkpoint from which on lines could be checked; undefined where they could from line 0 on. */
  begun: number | undefined
  /** Lines that nothing in the stream can be held against: those before the first checkpoint where it begins in the middle, or behind a gap. */
  unchecked = 0
  /** Lines at the end that no checkpoint covers. */
  unsigned = 0
  /** Lines that came more than once. */
  repeated = 0
  /** Lines that did not come, and of which a line tells so that was checked. */
  told = 0
  readonly gaps: Gaps = noGaps()
  /** So many lines are those that the roster, or a given checkpoint, has seen; undefined if neither knows the log. */
  pinned: number | undefined
  /** Name of the key that has signed lines that are here. */
  signedBy: string | undefined
  /** How many lines the largest of its checkpoints tells of. */
  covered: number | undefined
  /** The first problems; `problemCount` tells of how many. `file` is `-`, and `line` counts the lines of the stream. */
  readonly problems: LogProblem[] = []
  problemCount = 0
  readonly #missing: Range[] = []
  #missed = 0

  constructor(readonly origin: string) {}

  /** Called by who reads the stream, as are all below. */
  line(index: number): void {
    this.lines++
    this.first ??= index
    this.last = index
  }

  check(count: number, through: number): void {
    this.checked += Math.max(count, 0)
    this.checkedThrough = Math.max(this.checkedThrough ?? 0, through)
  }

  miss(range: Range): void {
    const before = this.#missing.at(-1)
    if (before !== undefined && before.last + 1 === range.first) {
      this.#missing[this.#missing.length - 1] = { first: before.first, last: range.last }
      return
    }
    this.#missed++
    if (this.#missing.length < maxKept) this.#missing.push(range)
  }

  /** Whether some of these did not come. */
  misses({ first, last }: Range): boolean {
    return this.#missing.some((range) => range.first <= last && range.last >= first)
  }

  add(problem: Omit<LogProblem, 'file'>): undefined {
    this.problemCount++
    if (this.problems.length < maxKept) this.problems.push({ file: '-', ...problem })
  }

  /** One of those that did not come, and comes now. Tells whether it is. */
  late(index: number): boolean {
    const at = this.#missing.findIndex(({ first, last }) => first <= index && index <= last)
    if (at < 0) return false
    const left = without(this.#missing[at]!, [{ first: index, last: index }])
    this.#missing.splice(at, 1, ...left)
    this.#missed += left.length - 1
    return true
  }

  /** Missing lines are no problem where a line tells of them that was checked. `telling`: the line that does, and was not. */
  finish(told: readonly Range[], telling: (range: Range) => number | undefined): void {
    for (const range of this.#missing) {
      for (const left of without(range, told)) {
        const { first, last } = left
        const by = telling(left)
        const fact = first === last ? 'the line is missing' : `lines ${first} to ${last} are missing`
        const doubt = by === undefined ? '' : `: line ${by} tells so, and nothing signed covers that line`
        this.add({ index: first, fact: `${fact}${doubt}` })
        this.told -= last - first + 1
      }
      this.told += range.last - range.first + 1
    }
    this.problemCount += this.#missed - this.#missing.length
    this.problems.sort((a, b) => (a.line ?? Infinity) - (b.line ?? Infinity) || (a.index ?? -1) - (b.index ?? -1))
  }
}

function without(range: Range, told: readonly Range[]): Range[] {
  let left = [range]
  for (const { first, last } of told) {
    left = left.flatMap((one) => {
      if (last < one.first || first > one.last) return [one]
      const parts = [
        { first: one.first, last: first - 1 },
        { first: last + 1, last: one.last },
      ]
      return parts.filter((part) => part.first <= part.last)
    })
  }
  return left
}
