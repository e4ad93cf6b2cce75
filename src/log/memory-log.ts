// One log in memory: the lines that some sink has not got yet, and the tree over all that ever were.
import type { SignedCheckpoint, Stretch } from '../sink.ts'
import { formatCheckpoint } from './checkpoint.ts'
import { fromHash, type Hash, leafHash, Tree } from './merkle.ts'
import { type KeySigner, signNote } from './note.ts'

/** So many hashes are kept of lines that were dropped before every sink had them: 32 bytes and a little each. */
const mostHashes = 1_000_000

export class MemoryLog {
  private lines: string[] = []
  private sizes: number[] = []
  /** Lines before it were dropped. */
  private head = 0
  private readonly tree = new Tree()
  /** Hashes of the last lines before the oldest one. */
  private hashes: Hash[] = []
  /** Size of the lines, a line end for each included. */
  bytes = 0
  /** The index of the oldest line. */
  first = 0
  checkpoint: SignedCheckpoint | undefined

  constructor(readonly origin: string) {}

  get count(): number {
    return this.lines.length - this.head
  }

  /** The index that the next line gets. */
  get end(): number {
    return this.first + this.count
  }

  /** A line that nobody wants had this place: the log goes on behind it. Only where none is kept. */
  pass(index: number): void {
    this.first = index + 1
  }

  /** `proves`: whether checkpoints are wanted. They are of use only if that is so from the first line on. */
  push(line: string, proves: boolean): void {
    const size = Buffer.byteLength(line) + 1
    if (proves && this.tree.size === this.end) this.tree.push(leafHash(line))
    this.lines.push(line)
    this.sizes.push(size)
    this.bytes += size
  }

  /** Lets go of the oldest lines; `missed`: some sink has not got them, and may ask for their hashes. */
  drop(count: number, missed = false): void {
    for (let i = 0; missed && i < count; i++) this.hashes.push(leafHash(this.lines[this.head + i]!))
    if (this.hashes.length > mostHashes) this.hashes = this.hashes.slice(mostHashes / 2)
    for (let i = 0; i < count; i++) this.bytes -= this.sizes[this.head + i]!
    this.head += Math.max(0, count)
    this.first += Math.max(0, count)
    // Once half of the array is dropped, so that each line is moved once at most.
    if (2 * this.head < this.lines.length) return
    this.lines = this.lines.slice(this.head)
    this.sizes = this.sizes.slice(this.head)
    this.head = 0
  }

  /** Lets go of the hashes of lines below this index. */
  forget(index: number): void {
    const known = this.first - this.hashes.length
    if (this.hashes.length > 0 && index > known) this.hashes = this.hashes.slice(index - known)
  }

  /** Hashes of lines that were dropped, from `first` on; fewer where it does not have them. */
  leaves(first: number, last: number): Uint8Array[] {
    const known = this.first - this.hashes.length
    return first < known ? [] : this.hashes.slice(first - known, last + 1 - known).map(fromHash)
  }

  read(from: number, most: { lines: number; bytes: number }): Stretch | undefined {
    if (from >= this.end) return undefined
    if (from < this.first) return { through: this.first, reason: 'backlog' }
    const start = this.head + from - this.first
    let stop = start
    let bytes = 0
    while (stop < this.lines.length && stop - start < most.lines) {
      const size = this.sizes[stop]!
      if (stop > start && bytes + size > most.bytes) break
      bytes += size
      stop++
    }
    return { lines: this.lines.slice(start, stop), bytes }
  }

  /** Returns whether there was something new to sign. */
  sign(signer: KeySigner): boolean {
    const { size } = this.tree
    if (size !== this.end || size === (this.checkpoint?.size ?? 0)) return false
    const text = formatCheckpoint({ origin: this.origin, size, root: this.tree.root() })
    const edge = this.tree.complete().map((peak) => fromHash(peak).toString('base64'))
    this.checkpoint = { origin: this.origin, size, note: signNote(text, signer), vkey: signer.vkey, edge }
    return true
  }
}
