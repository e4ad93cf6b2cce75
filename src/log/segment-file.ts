// The segment that is being written: bytes go to explicit offsets, so that a failed write is repeated in place.
import { closeSync, constants, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, mkdir, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { orMissing, type Segment, segmentName, segmentsDir, syncDir } from './segments.ts'

const chunkBytes = 1_048_576

/** Where the next bytes go. */
export interface Place {
  readonly fd: number
  readonly at: number
  /** Makes them durable. */
  readonly sync: () => void
}

export class SegmentFile {
  /** Behind the last byte that was written whole. */
  private written: number
  /** Behind the last byte that is known to be on the disk. */
  private synced: number
  /** Whether an fsync failed since one succeeded. */
  private doubtful = false
  /** How much of it `look` has found whole. */
  private seen: number

  private constructor(
    readonly first: number,
    readonly path: string,
    /** When it was begun, in ms since the epoch. */
    readonly begunAt: number,
    /** When it was last written to, in ms since the epoch. */
    public writtenAt: number,
    readonly handle: FileHandle,
    bytes: number,
  ) {
    this.written = bytes
    this.synced = bytes
    this.seen = bytes
  }

  /** Begins a segment. An empty one that an earlier attempt left is taken over. */
  static async create(logDir: string, first: number, mode: number, now: number): Promise<SegmentFile> {
    const dir = segmentsDir(logDir)
    await mkdir(dir, { recursive: true, mode: 0o750 })
    const path = join(dir, segmentName(first))
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, mode)
    try {
      await syncDir(dir)
    } catch (error) {
      await handle.close().catch(() => {})
      throw error
    }
    return new SegmentFile(first, path, now, now, handle, 0)
  }

  /** Goes on with a segment. All that is in it must be on the disk; `look` takes its first `seen` bytes for whole. */
  static async resume({ first, path, bytes, at }: Segment, begunAt: number, seen = bytes): Promise<SegmentFile> {
    const file = new SegmentFile(first, path, begunAt, at, await open(path, 'r+'), bytes)
    file.seen = seen
    return file
  }

  /** The beginning of a segment that may not be there yet. */
  static placeOf(logDir: string, first: number, mode: number): Place {
    const fd = openSync(join(segmentsDir(logDir), segmentName(first)), constants.O_RDWR | constants.O_CREAT, mode)
    const sync = () => {
      fdatasyncSync(fd)
      closeSync(fd)
    }
    return { fd, at: 0, sync }
  }

  place(): Place {
    const { fd } = this.handle
    return { fd, at: this.written, sync: () => fdatasyncSync(fd) }
  }

  get bytes(): number {
    return this.written
  }

  /** Writes behind the last write. After a failure the same bytes must be written again, and land in the same place. */
  async write(bytes: Buffer, now: number): Promise<void> {
    await this.put(bytes, this.written)
    this.written += bytes.length
    this.writtenAt = now
  }

  /**
   * Resolves once all that was written is on the disk. When an fsync fails, the system may have dropped the pages that it could
   * not write and call the next one a success: so what is not known to be on the disk is written anew before the next try.
   */
  async sync(): Promise<void> {
    if (this.doubtful) await this.rewrite()
    this.doubtful = true
    await this.handle.datasync()
    this.doubtful = false
    this.synced = this.written
  }

  async close(): Promise<void> {
    await this.handle.close()
  }

  /**
   * What others have done to it. One that was cut short has a hole of zeros once it is written to again, and no line has such a
   * byte: what was written since the last look is read for that, from the byte before on.
   */
  async look(): Promise<'whole' | 'deleted' | 'replaced' | 'cut'> {
    const mine = await this.handle.stat({ bigint: true })
    const there = await orMissing(stat(this.path, { bigint: true }), undefined)
    if (there === undefined) return 'deleted'
    if (there.ino !== mine.ino || there.dev !== mine.dev) return 'replaced'
    if (mine.size < this.written) return 'cut'
    const end = this.written
    const from = Math.max(0, this.seen - 1)
    if (this.seen === end) return 'whole'
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, end - from))
    for (let at = from; at < end; ) {
      const { bytesRead } = await this.handle.read(chunk, 0, Math.min(chunk.length, end - at), at)
      if (bytesRead === 0 || chunk.subarray(0, bytesRead).includes(0)) return 'cut'
      at += bytesRead
    }
    this.seen = end
    return 'whole'
  }

  private async rewrite(): Promise<void> {
    const chunk = Buffer.alloc(chunkBytes)
    for (let at = this.synced; at < this.written; ) {
      const { bytesRead } = await this.handle.read(chunk, 0, Math.min(chunkBytes, this.written - at), at)
      if (bytesRead === 0) throw new Error(`${this.path} is shorter than what was written to it`)
      await this.put(chunk.subarray(0, bytesRead), at)
      at += bytesRead
    }
  }

  private async put(bytes: Buffer, at: number): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, at + done)
      done += bytesWritten
    }
  }
}

/** Returns the offset behind the bytes. */
export function writeAllSync(fd: number, bytes: Buffer, at: number): number {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, at + done)
  return at + bytes.length
}
