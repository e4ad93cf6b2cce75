// One log as a witness holds it: lines in segments, hashes in tiles, and what is missing in a signed statement.
import { unlink } from 'node:fs/promises'
import { type Checkpoint, parseCheckpoint } from '../log/checkpoint.ts'
import { checkpointPath } from '../log/checkpoint-file.ts'
import { signAsWitness } from '../log/cosignature.ts'
import type { KeyChange } from '../log/key-line.ts'
import { rootAt } from '../log/log-proof.ts'
import type { Hash } from '../log/merkle.ts'
import { replaceFile } from '../log/replace-file.ts'
import { SegmentFile } from '../log/segment-file.ts'
import { orMissing, type Segment, segmentsDir, syncDir } from '../log/segments.ts'
import { formatStatement, type LineRange, statementPath } from '../log/statement.ts'
import type { TileWriter } from '../log/tile-writer.ts'
import { readTile, tileWidth } from '../log/tiles.ts'
import { closingOnFault, type HeldOptions, type Loaded, loadLog } from './load-log.ts'

/** Opens a log again that was closed in order, without reading its lines. Undefined if its hashes are not as they were left. */
export type Suspended = () => Promise<HeldLog | undefined>

/** Leaf hashes that are only in memory are written to tiles at this number, if no checkpoint did that before. */
const mostUnsaved = 4096

/**
 * Only one call at a time, and `settle` before each. What `append` and `miss` took is on disk when they resolve; when they reject,
 * the same may be given again. After a crash in between, what was not answered may be there or not.
 */
export class HeldLog {
  /** Leaf hashes from `savedSize` on. */
  private recent: Hash[] = []
  private savedSize: number
  /** Leaf hashes of lines that were written, and are not known to be on disk. */
  private unsynced: readonly Hash[] = []
  /** Whether it was told that hash tiles cannot be deleted. */
  private cluttered = false
  /** Whether the hashes that came last are to be stated as those of missing lines. */
  private untold = false
  private stated: string | undefined
  private readonly tiles: TileWriter
  private file: SegmentFile
  /** Closed segments, the oldest first. */
  readonly closed: Segment[]
  /** Lines that never came. */
  private readonly missing: LineRange[]
  /** Changes of keys that the last segment told of when the log was opened, and those since. */
  readonly changes: KeyChange[]
  private pruned: number
  /** The text of the note of the last checkpoint that was cosigned. */
  private checkpointText: string | undefined

  private constructor(
    readonly dir: string,
    readonly origin: string,
    private readonly options: HeldOptions,
    { tiles, file, closed, missing, changes, pruned, checkpointText }: Loaded,
  ) {
    this.tiles = tiles
    this.file = file
    this.closed = closed
    this.missing = missing
    this.changes = changes
    this.pruned = pruned
    this.checkpointText = checkpointText
    this.savedSize = tiles.size
  }

  /**
   * Goes on with a log, or begins it. Where the lines do not fit the last checkpoint they are set aside, and lines are asked for
   * from the beginning; the checkpoint stays, so that no other history is ever cosigned.
   */
  static async open(dir: string, origin: string, options: HeldOptions): Promise<HeldLog> {
    const loaded = await loadLog(dir, options)
    const log = new HeldLog(dir, origin, options, loaded)
    return closingOnFault(loaded.file, async () => {
      await loaded.tiles.save()
      await log.state()
      return log
    })
  }

  /** How many lines are accounted for: those that are here, were here, or are known by their hashes. */
  get size(): number {
    return this.tiles.size
  }

  /** The last checkpoint that was cosigned. */
  get checkpoint(): Checkpoint | undefined {
    return this.checkpointText === undefined ? undefined : parseCheckpoint(this.checkpointText)
  }

  /** The segment that is being written. */
  get current(): Segment {
    const { first, path, bytes, writtenAt: at } = this.file
    return { first, path, bytes, at, compressed: false }
  }

  /** Bytes of the lines that are here. */
  get bytes(): number {
    return this.closed.reduce((sum, one) => sum + one.bytes, this.file.bytes)
  }

  /** Leaf hashes of lines `first` to `last`, which must be below the size. */
  async leaves(first: number, last: number): Promise<Hash[]> {
    const found: Hash[] = []
    for (let index = first; index <= last; ) {
      if (index >= this.savedSize) {
        found.push(...this.recent.slice(index - this.savedSize, last + 1 - this.savedSize))
        break
      }
      const tile = Math.floor(index / tileWidth)
      const end = Math.min(last + 1, this.savedSize, (tile + 1) * tileWidth)
      const hashes = await readTile(this.dir, 0, tile, end - tile * tileWidth)
      if (hashes === undefined) throw new Error(`the hashes of lines ${index} to ${end - 1} of ${this.origin} are gone`)
      found.push(...hashes.slice(index % tileWidth))
      index = end
    }
    return found
  }

  /** Whether all that was taken is on disk. */
  get settled(): boolean {
    return this.unsynced.length === 0 && !this.untold
  }

  /** Does what an earlier call could not finish. */
  async settle(): Promise<void> {
    await this.sync()
    if (!this.untold) return
    await this.state()
    await this.rotate()
    this.untold = false
  }

  /** Appends lines: their bytes, a line end after each, the leaf hash of each, and the changes of keys that they tell of. */
  async append(bytes: Buffer, leaves: readonly Hash[], changes: readonly KeyChange[]): Promise<void> {
    const { maxBytes, maxAgeMs } = this.options.segment
    const old = this.options.now() - this.file.begunAt >= maxAgeMs
    if (this.file.bytes > 0 && (old || this.file.bytes + bytes.length > maxBytes)) await this.rotate()
    await this.file.write(bytes, this.options.now())
    this.unsynced = leaves
    this.changes.push(...changes)
    await this.sync()
    if (this.recent.length >= mostUnsaved) await this.save()
  }

  /** Takes the hashes of lines that are not to come any more. */
  async miss(leaves: readonly Hash[]): Promise<void> {
    const last = this.missing.at(-1)
    const first = this.size
    for (const leaf of leaves) this.push(leaf)
    if (last?.last === first - 1) this.missing[this.missing.length - 1] = { first: last.first, last: this.size - 1 }
    else this.missing.push({ first, last: this.size - 1 })
    this.untold = true
    await this.settle()
  }

  /** The root of the first `size` lines. */
  async root(size: number): Promise<Hash> {
    if (size === this.size) return this.tiles.root()
    await this.save()
    return rootAt(this.dir, size)
  }

  /** Publishes the note of a checkpoint of lines that are here. */
  async publish(note: string): Promise<void> {
    await this.save()
    await replaceFile(checkpointPath(this.dir), note, this.options.mode)
    await syncDir(this.dir)
    this.checkpointText = note.slice(0, note.lastIndexOf('\n\n') + 1)
    await this.tiles.tidy()
    const { clutter } = this.tiles
    if (clutter !== undefined && !this.cluttered) this.options.onFault(clutter)
    this.cluttered = clutter !== undefined
  }

  /** Closes the segment that is being written, so that it can be dropped. */
  async rotate(): Promise<void> {
    await this.save()
    await this.tiles.sync(true)
    const next = await SegmentFile.create(this.dir, this.size, this.options.mode, this.options.now())
    const { current, file } = this
    this.file = next
    if (current.bytes > 0) this.closed.push(current)
    else if (current.path !== next.path) await orMissing(unlink(current.path), undefined)
    await file.close().catch(() => {})
  }

  /** Deletes the oldest closed segments, `count` of them; that is stated before. `mayGo` is asked last: nothing goes if it says no. */
  async drop(count: number, mayGo: () => Promise<boolean>): Promise<void> {
    this.pruned = this.closed[count]?.first ?? this.file.first
    await this.state()
    if (!(await mayGo())) return
    for (let i = 0; i < count; i++) {
      await orMissing(unlink(this.closed[0]!.path), undefined)
      this.closed.shift()
    }
    await syncDir(segmentsDir(this.dir))
  }

  /** Closes the file, also where what is in it cannot be made durable, and gives up the memory that the tree takes. */
  async suspend(): Promise<Suspended> {
    try {
      await this.save()
    } catch (error) {
      await this.file.close().catch(() => undefined)
      throw error
    }
    const { dir, origin, options, stated, current } = this
    const { closed, missing, changes, pruned, checkpointText } = this
    const { begunAt } = this.file
    const resume = this.tiles.suspend()
    await this.file.close()
    return async () => {
      const tiles = await resume()
      if (tiles === undefined) return undefined
      const file = await SegmentFile.resume(current, begunAt)
      const loaded = { tiles, file, closed, missing, changes, pruned, checkpointText }
      const log = new HeldLog(dir, origin, options, loaded)
      log.stated = stated
      return log
    }
  }

  private async sync(): Promise<void> {
    if (this.unsynced.length === 0) return
    await this.file.sync()
    for (const leaf of this.unsynced) this.push(leaf)
    this.unsynced = []
  }

  private push(leaf: Hash): void {
    this.tiles.push(leaf)
    this.recent.push(leaf)
  }

  private async save(): Promise<void> {
    if (this.savedSize === this.size) return
    await this.tiles.save()
    this.savedSize = this.size
    this.recent = []
  }

  private async state(): Promise<void> {
    const text = formatStatement({ origin: this.origin, pruned: this.pruned, missing: this.missing })
    if (text === this.stated) return
    const note = await signAsWitness(text, this.options.cosigner)
    await replaceFile(statementPath(this.dir), note, this.options.mode)
    await syncDir(this.dir)
    this.stated = text
  }
}
