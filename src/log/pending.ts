// Lines on their way to the disk: a bounded queue of bytes. They are encoded at once, for texts that wait would be moved about
// by the garbage collector, at a higher price than that of writing them.
import { type Hash, leafHashIn } from './merkle.ts'

const leastBytes = 65_536
// A write of a sixteenth of this costs no more per line. But where the event loop is busy each takes one of its turns, however long.
const chunkBytes = 4_194_304
// What waits when the disk stalls: at most 64 MiB, about a second of the heaviest traffic that one process serves.
const mostLines = 100_000
const mostBytes = 64 * 1_048_576

/** Buffers that are free again, for all logs. */
const spare: Buffer[] = []
const mostSpare = 4

/** Lines that go out in one write, unless that would be too much for the segment. */
class Chunk {
  buffer = spare.pop() ?? Buffer.allocUnsafeSlow(leastBytes)
  /** Where each line ends, behind its line end. */
  readonly ends: number[] = []
  // The first byte is not data: it stands before the first line, for leafHashIn.
  end = 1
  /** Where the first line begins that is not written. */
  from = 1
  /** The first line that is not in the tree. */
  next = 0

  /** Returns whether there was room for the line; there is for the first one. */
  push(line: string): boolean {
    const { end } = this
    // No UTF-16 unit takes more than 3 bytes in UTF-8.
    if (end + line.length * 3 >= this.buffer.length && !this.reserve(end + Buffer.byteLength(line) + 1)) return false
    const last = end + this.buffer.write(line, end, 'utf8')
    this.buffer[last] = 0x0a
    this.end = last + 1
    this.ends.push(this.end)
    return true
  }

  private reserve(bytes: number): boolean {
    const { buffer, end } = this
    if (bytes <= buffer.length) return true
    if (bytes > chunkBytes && end > 1) return false
    this.buffer = Buffer.allocUnsafeSlow(Math.max(bytes, Math.min(2 * buffer.length, chunkBytes)))
    buffer.copy(this.buffer, 0, 0, end)
    return true
  }

  /** Behind the last line that is in the tree. */
  get treeEnd(): number {
    return this.next === 0 ? 1 : this.ends[this.next - 1]!
  }
}

/** Lines go in at one end, into the tree in the middle, and leave at the other end once they are written. */
export class PendingLines {
  private chunks: Chunk[] = []
  /** The chunk that still takes lines: the last one, or none. What is on its way to the disk takes none. */
  private open: Chunk | undefined
  /** How many lines wait to get into the tree, and their size. */
  count = 0
  bytes = 0
  /** How many lines are in the tree and not yet written. */
  taken = 0

  /** Returns false, and does not take the line, when too much waits. */
  push(line: string): boolean {
    if (this.count >= mostLines || this.bytes >= mostBytes) return false
    let before = this.open?.end
    if (this.open?.push(line) !== true) {
      this.open = new Chunk()
      this.chunks.push(this.open)
      before = this.open.end
      this.open.push(line)
    }
    this.bytes += this.open.end - before!
    this.count++
    return true
  }

  /**
   * Takes at most `most` lines, all of one chunk, tells the leaf of each, and returns how many it took. It stops before a line
   * with which they would be larger than `room`; the first line is always taken when `mustTake` is true.
   */
  take(most: number, room: number, mustTake: boolean, onLeaf: (leaf: Hash) => void): number {
    const [chunk] = this.chunks
    if (chunk === undefined) return 0
    if (chunk === this.open) this.open = undefined
    const { buffer, ends, from, next } = chunk
    const last = Math.min(ends.length, next + most)
    let start = chunk.treeEnd
    for (; chunk.next < last; chunk.next++) {
      const end = ends[chunk.next]!
      if (end - from > room && !(mustTake && chunk.next === next)) break
      onLeaf(leafHashIn(buffer, start, end - 1))
      this.bytes -= end - start
      start = end
    }
    this.taken = chunk.next - next
    this.count -= this.taken
    return this.taken
  }

  /** The lines that are in the tree and not yet written, a line end after each. Valid until `written`. */
  get batch(): Buffer {
    const { buffer, from, treeEnd } = this.chunks[0]!
    return buffer.subarray(from, treeEnd)
  }

  /** The batch is written. */
  written(): void {
    const chunk = this.chunks[0]!
    this.taken = 0
    chunk.from = chunk.treeEnd
    if (chunk.next < chunk.ends.length) return
    this.chunks.shift()
    if (spare.length < mostSpare && chunk.buffer.length <= chunkBytes) spare.push(chunk.buffer)
  }

  /** All that is not written, in the order of the log. */
  get all(): readonly Buffer[] {
    return this.chunks.map(({ buffer, from, end }) => buffer.subarray(from, end))
  }
}
