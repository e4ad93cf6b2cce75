// Reads the lines of a log from an index on, segment after segment, and keeps its place.
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Stretch } from '../sink.ts'
import { type Block, LineReader, lineStart } from './lines.ts'
import { isDoubtful, kindOf } from './segment-fault.ts'
import { orMissing, type Segment } from './segments.ts'

/** How long a segment is tried that cannot be read: a disk or a right that somebody puts right loses no line. */
const giveUpUs = 60_000_000

/**
 * For one reader of a log that is being written: it reads what is durable, and a segment that was deleted while it was read it
 * reads to its end. One call at a time.
 */
export class SegmentReader {
  private reader: LineReader | undefined
  private block: Block | undefined
  /** The line of the block that comes next, and its index in the log. */
  private at = 0
  private index = -1

  /** Whether nothing is read any more. Written by close. */
  private closed = false
  /** The segment that could not be read at the last try, by its first line, and since when. Written by read and failed. */
  private fault: { readonly first: number; readonly sinceUs: number } | undefined

  /** `closeSegment` ends the segment that is being written. */
  constructor(
    private readonly clock: Clock,
    private readonly closeSegment: () => void,
  ) {}

  /**
   * Lines from `from` on, at least one and none from `end` on; `through` if those from `from` on are gone for good; undefined if they
   * should be there and are not: they may be, in a moment. Rejects with what the system says while another try may find more.
   */
  async read(
    segments: () => readonly Segment[],
    from: number,
    end: number,
    most: { lines: number; bytes: number },
  ): Promise<Stretch | undefined> {
    try {
      const stretch = await this.find(segments, from, end, most)
      if (stretch !== undefined) this.fault = undefined
      return this.closed ? undefined : stretch
    } catch (error) {
      await this.leave()
      return this.closed ? undefined : this.failed(error, segments(), from, end)
    }
  }

  /** What is being read comes to nothing. */
  async close(): Promise<void> {
    this.closed = true
    await this.leave()
  }

  private async find(
    segments: () => readonly Segment[],
    from: number,
    end: number,
    most: { lines: number; bytes: number },
  ): Promise<Stretch | undefined> {
    const stretch = await this.go(from, end, most)
    if (stretch !== undefined) return stretch
    // The end of the segment, or another place than the last one.
    const list = segments()
    const i = list.findLastIndex((one) => one.first <= from)
    if (i === -1) return gone(list, end)
    if (await this.open(list[i]!)) {
      const again = await this.go(from, end, most)
      if (again !== undefined) return again
    } else {
      const left = segments()
      // Deleted or compressed in this moment.
      if (left[0] === undefined || left[0].first > from) return gone(left, end)
      if (left.some((one) => one.first === list[i]!.first && one.path !== list[i]!.path)) return undefined
    }
    return lost(list[i + 1], end)
  }

  /** What becomes of the lines of a segment that cannot be read. */
  private failed(error: unknown, list: readonly Segment[], from: number, end: number): Stretch | undefined {
    const i = list.findLastIndex((one) => one.first <= from)
    if (i === -1) return gone(list, end)
    const [{ first }, next] = [list[i]!, list[i + 1]]
    const now = this.clock.monoUs()
    if (this.fault?.first !== first) this.fault = { first, sinceUs: now }
    const kind = kindOf(error)
    const over = kind !== 'passing' && now - this.fault.sinceUs >= giveUpUs
    // What tells of the loss must not come behind the lines that are lost.
    if (next === undefined && over) this.closeSegment()
    if (next !== undefined && (over || kind === 'lasting')) return { ...lost(next, end)!, why: reasonOf(error) }
    throw error
  }

  private async leave(): Promise<void> {
    const { reader } = this
    this.reader = undefined
    await reader?.close().catch(() => {})
  }

  private async open(segment: Segment): Promise<boolean> {
    await this.leave()
    this.reader = await orMissing(LineReader.open(segment.path), undefined)
    if (this.closed) await this.leave()
    this.index = segment.first
    this.block = undefined
    return this.reader !== undefined
  }

  /** Goes on in the open segment; undefined if it has no such line. */
  private async go(from: number, end: number, most: { lines: number; bytes: number }): Promise<Stretch | undefined> {
    if (this.reader === undefined || from < this.index) return undefined
    const lines: string[] = []
    let bytes = 0
    while (this.index < end && lines.length < most.lines) {
      if (this.block === undefined || this.at >= this.block.ends.length) {
        // What was read must be out of the buffer before it is filled anew: it is, as text.
        if (lines.length > 0 && bytes >= most.bytes / 2) break
        try {
          this.block = await this.reader.next()
        } catch (error) {
          if (lines.length === 0 || isDoubtful(error)) throw error
          await this.leave()
          break
        }
        this.at = 0
        if (this.block === undefined) break
      }
      const { block } = this
      const skipped = Math.min(Math.max(0, from - this.index), block.ends.length - this.at)
      const [start, stop] = [lineStart(block, this.at), block.ends[this.at + Math.max(skipped, 1) - 1]!]
      // Somebody has cut the segment while it was written: behind the hole nobody knows the index, until that is put right.
      if (block.buffer.subarray(start, stop).includes(0)) {
        await this.leave()
        break
      }
      if (skipped > 0) {
        this.index += skipped
        this.at += skipped
        continue
      }
      if (lines.length > 0 && bytes + stop - start + 1 > most.bytes) break
      lines.push(block.buffer.toString('utf8', start, stop))
      bytes += stop - start + 1
      this.at++
      this.index++
    }
    return lines.length > 0 ? { lines, bytes } : undefined
  }
}

/** What ends at a later segment, which tells where it does; that of the last one may still come. */
const lost = (next: Segment | undefined, end: number): Extract<Stretch, { through: number }> | undefined =>
  next === undefined ? undefined : { through: Math.min(next.first, end), reason: 'lost' }

/** What is before the first segment. */
const gone = (list: readonly Segment[], end: number): Stretch | undefined =>
  list[0] === undefined ? undefined : { through: Math.min(list[0].first, end), reason: 'retention' }
