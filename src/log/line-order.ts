// Finds out which line of its log each line of a segment is, where lines are missing before it or others stand between.
import { member, parseLine, placeFault } from './envelope.ts'
import type { Hash } from './merkle.ts'
import { hear, type SignedLog } from './signed-log.ts'

interface Line {
  /** In its file, from 1. */
  readonly number: number
  readonly text: string
  readonly leaf: Hash
}

interface Stray extends Line {
  /** The index that it says, if the hash that was kept there is its own; undefined otherwise. */
  readonly index: number | undefined
}

// So many lines are kept until it is clear what is wrong with them. What is not clear by then is told line by line.
const maxStrays = 64

/**
 * Takes the lines of a segment in order. Lines that do not match the hash at their place are kept until one comes that tells where it goes on: then
 * a line that is missing or was inserted is told once, and not by each that follows it.
 */
export class LineOrder {
  private strays: Stray[] = []
  private count = 0
  /** Ranges that were told as missing. */
  private readonly missing: (readonly [first: number, last: number])[] = []

  /** `next`: the index of the first line; `end`: of the next segment, undefined where there is none. */
  constructor(
    private readonly file: string,
    private next: number,
    private readonly end: number | undefined,
    private readonly log: SignedLog,
  ) {}

  /** The index behind the last line. */
  get index(): number {
    return this.next
  }

  /** How many lines there are in the file. */
  get lines(): number {
    return this.count
  }

  async take(text: string, leaf: Hash): Promise<void> {
    const line = { number: ++this.count, text, leaf }
    const { next, log, strays } = this
    log.report.lines++
    if (strays.length === 0 && (next >= log.report.signed || (await log.hashes.confirms(next, leaf)))) {
      this.accept(line)
      return
    }
    const stray = { ...line, index: await this.ownIndex(line) }
    const run = this.runOf(stray)
    strays.push(stray)
    if (run !== undefined) await this.settle(run.from, run.index)
    else if (strays.length === maxStrays) await this.settle(maxStrays, next + maxStrays)
  }

  /** Called once, behind the last line. */
  async finish(): Promise<void> {
    const { strays, next, end, log } = this
    const count = strays.length
    if (count === 0) return
    let from = count - 1
    while (from > 0 && strays[from]!.index !== undefined && strays[from - 1]!.index === strays[from]!.index! - 1) from--
    const index = strays[from]!.index
    const isPlaced = next + count === (end ?? log.report.signed)
    if (!isPlaced && index !== undefined && index >= next) await this.settle(from, index)
    else await this.settle(count, next + Math.min(count, end === undefined ? count : Math.max(0, end - next)))
  }

  /** Where the lines begin that are in order again up to this one, and the index of the first of them; undefined as long as that is not clear. */
  private runOf({ index }: Stray): { readonly from: number; readonly index: number } | undefined {
    if (index === undefined) return undefined
    const { strays, next, log } = this
    let from = strays.length
    let first = index
    while (from > 0 && first > next && strays[from - 1]!.index === first - 1) {
      from--
      first--
    }
    if (first < next) return undefined
    const isPlaced = first === next + from
    // Two in order tell, or the one that is expected: but where one before it belongs further back the two may have changed places.
    const isNext = first === next && strays.every((one) => one.index === undefined || one.index < next)
    // What is not signed can say anything of its place.
    const isInOrder = first < log.report.signed && (from < strays.length || isNext)
    return isPlaced || isInOrder ? { from, index: first } : undefined
  }

  /** The strays from `from` on are the lines from `index` on. Those before are told as what they are in the place that is left for them. */
  private async settle(from: number, index: number): Promise<void> {
    const { strays, file, log } = this
    this.strays = []
    const places = Math.min(from, index - this.next)
    for (const line of strays.slice(0, places)) await this.place(line)
    const others = strays.slice(places, from)
    if (others.length > 0) {
      const fact = this.insertedFact(others)
      log.report.add({ file, line: others[0]!.number, index: this.next, fact })
    }
    if (from === strays.length) return
    if (index > this.next) {
      const last = index - 1
      const fact = last === this.next ? 'the line is missing' : `lines ${this.next} to ${last} are missing`
      log.report.add({ file, index: this.next, fact })
      if (this.missing.length < maxStrays) this.missing.push([this.next, last])
      this.next = index
      await log.hashes.skip(Math.min(index, log.report.signed))
    }
    for (const line of strays.slice(from)) await this.place(line)
  }

  private insertedFact(others: readonly Stray[]): string {
    const { next } = this
    if (others.length > 1) return `${others.length} lines were inserted before line ${next}`
    const { index } = others[0]!
    if (index === undefined) return `a line was inserted before line ${next}`
    const isElsewhere = index < next && !this.missing.some(([first, last]) => first <= index && index <= last)
    return isElsewhere ? `line ${index} stands twice` : `line ${index} stands here, before line ${next}`
  }

  /** Takes a line at the next index, whatever it is. */
  private async place(line: Line): Promise<void> {
    const { file, next, log } = this
    if (next >= log.report.signed || (await log.hashes.confirms(next, line.leaf))) this.accept(line)
    else await log.hashes.differs(next, line.leaf, { file, line: line.number, index: this.next++ })
  }

  private accept({ number, text }: Line): void {
    const { file, log } = this
    const index = this.next++
    const signed = index < log.report.signed
    if (!signed) log.report.unsigned++
    const event = parseLine(text)
    const fact = placeFault(event, log.origin, index)
    if (fact !== undefined) log.report.add({ file, line: number, index, fact })
    else hear(event!, index, signed, log)
  }

  private async ownIndex({ text, leaf }: Line): Promise<number | undefined> {
    const { log, end = Infinity } = this
    const event = parseLine(text) ?? {}
    const index = member(event, 'audit', 'index')
    if (typeof index !== 'number' || index < 0 || index >= end) return undefined
    if (placeFault(event, log.origin, index) !== undefined) return undefined
    if (index >= log.report.signed) return index
    return (await log.hashes.keptAt(index)) === leaf ? index : undefined
  }
}
