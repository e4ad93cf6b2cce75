// Reads a segment as blocks of whole lines, in bounded memory.
import { maxLineBytes } from '../sink.ts'
import { type LineSource, openSource } from './line-source.ts'

const chunkBytes = 262_144
const lf = 0x0a

/**
 * Whole lines. Line `i` is `buffer[i === 0 ? start : ends[i - 1] + 1, ends[i])`; the byte before each of them may be written
 * to for the time of a call (see leafHashIn). Valid until the next block is read.
 */
export interface Block {
  readonly buffer: Buffer
  readonly start: number
  readonly ends: readonly number[]
}

export const lineStart = (block: Block, i: number): number => (i === 0 ? block.start : block.ends[i - 1]! + 1)

export class LineReader {
  // One byte ahead of the first line, for leafHashIn; a line that ends in the next chunk is carried to the front.
  private readonly buffer = Buffer.alloc(1 + maxLineBytes + 1 + chunkBytes)
  private from = 1
  private carried = 0
  private position = 0

  private constructor(private readonly source: LineSource) {}

  /** Opens a segment, compressed or not, also one that has been compressed since it was looked for. */
  static async open(path: string): Promise<LineReader> {
    return new LineReader(await openSource(path))
  }

  /** Offset, in what is not compressed, behind the last line end that was read: where an unfinished line begins. */
  get tail(): number {
    return this.position - this.carried
  }

  /** Bytes behind the last line end that were read. */
  get rest(): Buffer {
    return this.buffer.subarray(this.from, this.from + this.carried)
  }

  /** Whether reading stopped, or will, at a line that is longer than a line can be. */
  get overlong(): boolean {
    return this.carried > maxLineBytes
  }

  /** The next whole lines; undefined at the end of the file, and at an overlong line. */
  async next(): Promise<Block | undefined> {
    this.buffer.copyWithin(1, this.from, this.from + this.carried)
    this.from = 1
    while (!this.overlong) {
      const fresh = 1 + this.carried
      const bytesRead = await this.source.read(this.buffer, fresh, chunkBytes, this.position)
      if (bytesRead === 0) return undefined
      this.position += bytesRead
      const filled = this.buffer.subarray(0, fresh + bytesRead)
      const ends: number[] = []
      let start = 1
      // An overlong line is where reading stops, wherever in what was read it stands.
      for (let at = filled.indexOf(lf, fresh); at >= 0 && at - start <= maxLineBytes; at = filled.indexOf(lf, at + 1)) {
        ends.push(at)
        start = at + 1
      }
      this.from = start
      this.carried = filled.length - start
      if (ends.length > 0) return { buffer: this.buffer, start: 1, ends }
    }
    return undefined
  }

  async close(): Promise<void> {
    await this.source.close()
  }
}
