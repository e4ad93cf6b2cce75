// Moves the lines of one log from memory into its tree and its segments. It does what it is told: the writer says when.
//
// One call at a time, but for `push` and `flushSync`. One that failed is made again, and goes on where it stood.
import { PendingLines } from './pending.ts'
import { SegmentFile, writeAllSync } from './segment-file.ts'
import type { Segment } from './segments.ts'
import type { TileWriter } from './tile-writer.ts'

export interface SegmentOptions {
  readonly dir: string
  readonly tiles: TileWriter
  readonly mode: number
  readonly maxBytes: number
  readonly maxAgeMs: number
  /** See steadyTime. */
  readonly now: () => number
}

export class SegmentWriter {
  private readonly pending = new PendingLines()
  /** Whether the next line has no room in the segment. */
  private full = false
  /** The segment that is about to replace the one that is written to. */
  private coming: number | undefined
  /** Lines before it may be in the segment by `flushSync`, and must stay in it. */
  private pinned = 0

  constructor(
    private readonly options: SegmentOptions,
    /** The segment that is written to. Written by rotation and by repair. */
    public file: SegmentFile,
    /** Those before it, the oldest first. Written by rotation, repair, compression and retention. */
    readonly closed: Segment[],
  ) {}

  /** Whether lines are in the tree that could not be written yet. */
  get batched(): boolean {
    return this.pending.taken > 0
  }

  /** How many lines wait to get into the tree, and their size. */
  get waiting(): number {
    return this.pending.count
  }

  get waitingBytes(): number {
    return this.pending.bytes
  }

  /** Lines that are in no segment. */
  get unwritten(): number {
    return this.pending.count + this.pending.taken
  }

  /** How many lines were written, from the first of the log on. */
  get size(): number {
    return this.options.tiles.size - this.pending.taken
  }

  get maxBytes(): number {
    return this.options.maxBytes
  }

  /** Whether the next line belongs into a new segment. */
  get rotationDue(): boolean {
    const { tiles, now, maxAgeMs } = this.options
    if (this.file.bytes === 0 || tiles.size < this.pinned) return false
    return this.full || now() - this.file.begunAt >= maxAgeMs
  }

  /** Returns false, and does not take the line, when too much waits. */
  push(line: string): boolean {
    return this.pending.push(line)
  }

  /** Writes what waits, as far as there is room and up to line `limit`. Lines that could not be written go first. */
  async write(limit: number): Promise<void> {
    const { pending, file } = this
    if (pending.taken === 0 && this.fill(limit) === 0) return
    await file.write(pending.batch, this.options.now())
    pending.written()
  }

  private fill(limit: number): number {
    const { tiles, maxBytes } = this.options
    const { bytes } = this.file
    const room = tiles.size < this.pinned ? Infinity : maxBytes - bytes
    const taken = this.pending.take(limit - tiles.size, room, bytes === 0, (leaf) => tiles.push(leaf))
    this.full = taken === 0 && limit > tiles.size
    return taken
  }

  sync(): Promise<void> {
    return this.file.sync()
  }

  /**
   * Closes the segment, whose lines must be fsynced, and begins the next one. `published`: so is the tree. Undefined if
   * `flushSync` came in between: what it has written belongs to this segment.
   */
  async rotate(published: boolean): Promise<Segment | undefined> {
    const { tiles, dir, mode, now } = this.options
    await tiles.save()
    await tiles.sync(published)
    if (tiles.size < this.pinned) return undefined
    this.coming = tiles.size
    const old = this.file
    try {
      this.file = await SegmentFile.create(dir, tiles.size, mode, now())
    } finally {
      this.coming = undefined
    }
    this.full = false
    const { first, path, bytes, writtenAt } = old
    const segment = { first, path, bytes, at: writtenAt, compressed: false }
    this.closed.push(segment)
    await old.close().catch(() => {})
    return segment
  }

  /**
   * Writes all that waits and fsyncs it, before it returns: for the end of the process. Writes that are under way go to the same
   * places with the same bytes, and so do those of a process that goes on after all. Throws what the system says.
   */
  flushSync(): void {
    const { pending } = this
    if (this.unwritten === 0) return
    const { dir, mode, tiles } = this.options
    this.pinned = tiles.size + pending.count
    const place = this.coming === undefined ? this.file.place() : SegmentFile.placeOf(dir, this.coming, mode)
    let { at } = place
    for (const bytes of pending.all) at = writeAllSync(place.fd, bytes, at)
    place.sync()
  }
}
