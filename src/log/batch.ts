// Lines on their way to the disk: one buffer that is filled, written, and filled again.
import { type Hash, leafHashIn } from './merkle.ts'

// A write of a quarter of this costs no more per line. But where the event loop is busy each takes one of its turns, however long.
const targetBytes = 4_194_304

export class Batch {
  // The first byte is not data: it stands before the first line, for leafHashIn.
  private buffer = Buffer.alloc(65_536)
  private end = 1
  private count = 0

  /** How many lines it holds. */
  get lines(): number {
    return this.count
  }

  /** The lines, a line end after each. Valid until `clear`. */
  get bytes(): Buffer {
    return this.buffer.subarray(1, this.end)
  }

  /**
   * Takes lines from `lines[from]` up to `lines[to]`, tells the leaf of each, and returns how many it took. It stops when it is full,
   * and before a line that would make it larger than `room`; the first line is always taken when `mustTake` is true.
   */
  fill(
    lines: readonly string[],
    from: number,
    to: number,
    room: number,
    mustTake: boolean,
    onLeaf: (leaf: Hash) => void,
  ): number {
    let taken = 0
    for (let i = from; i < to && this.end < targetBytes; i++) {
      const line = lines[i]!
      // No UTF-16 unit takes more than 3 bytes in UTF-8.
      this.reserve(line.length * 3 + 1)
      const end = this.end + this.buffer.write(line, this.end, 'utf8')
      if (end > room && !(mustTake && this.count === 0)) break
      onLeaf(leafHashIn(this.buffer, this.end, end))
      this.buffer[end] = 0x0a
      this.end = end + 1
      this.count++
      taken++
    }
    return taken
  }

  clear(): void {
    this.end = 1
    this.count = 0
  }

  private reserve(bytes: number): void {
    if (this.end + bytes <= this.buffer.length) return
    const larger = Buffer.alloc(Math.max(2 * this.buffer.length, this.end + bytes))
    this.buffer.copy(larger, 0, 0, this.end)
    this.buffer = larger
  }
}
