// The segment that is being written: bytes go to explicit offsets, so that a failed write is repeated in place.
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Segment, segmentName, segmentsDir, syncDir } from './segments.ts'

const chunkBytes = 1_048_576

export class SegmentFile {
  /** Behind the last byte that was written whole. */
  private written: number
  /** Behind the last byte that is known to be on the disk. */
  private synced: number
  /** Whether an fsync failed since one succeeded. */
  private doubtful = false

  private constructor(
    readonly first: number,
    readonly path: string,
    /** When it was begun, in ms since the epoch. */
    readonly begunAt: number,
    private readonly handle: FileHandle,
    bytes: number,
  ) {
    this.written = bytes
    this.synced = bytes
  }

  /** Begins a segment. An empty one that an earlier attempt left is taken over. */
  static async create(logDir: string, first: number, mode: number, now: number): Promise<SegmentFile> {
    const dir = segmentsDir(logDir)
    await mkdir(dir, { recursive: true, mode: 0o750 })
    const path = join(dir, segmentName(first))
    const handle = await open(path, 'a+', mode).then(async (made) => {
      await made.close()
      return open(path, 'r+')
    })
    try {
      await syncDir(dir)
    } catch (error) {
      await handle.close().catch(() => {})
      throw error
    }
    return new SegmentFile(first, path, now, handle, 0)
  }

  /** Goes on with a segment. */
  static async resume(segment: Segment, begunAt: number): Promise<SegmentFile> {
    const handle = await open(segment.path, 'r+')
    return new SegmentFile(segment.first, segment.path, begunAt, handle, segment.bytes)
  }

  get bytes(): number {
    return this.written
  }

  /** Writes behind the last write. After a failure the same bytes must be written again, and land in the same place. */
  async write(bytes: Buffer): Promise<void> {
    await this.put(bytes, this.written)
    this.written += bytes.length
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
