// Compresses closed segments, one at a time, in the thread pool.
import { createReadStream, createWriteStream } from 'node:fs'
import { open, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import { compressedPath, orMissing, type Segment, syncDir } from './segments.ts'
import type { LogWriter } from './writer.ts'

export class Compressor {
  private running: Promise<void> | undefined
  /** Whether there may be more than the one that runs has seen. */
  private again = false
  private readonly abort = new AbortController()
  private told = false
  /** Plain files that could not be deleted, with the size of the compressed ones beside them. */
  private readonly twins = new Map<string, number>()

  constructor(
    private readonly writers: readonly LogWriter[],
    private readonly mode: number,
    private readonly logger: Logger,
  ) {}

  /** Compresses what is closed and signed: what is not may still have to be cut at the next start. */
  check(): void {
    if (this.abort.signal.aborted) return
    this.again = this.running !== undefined
    this.running ??= this.compress().finally(() => {
      this.running = undefined
      if (this.again) this.check()
    })
  }

  /** Breaks off the one under way: it is plain as before. */
  async stop(): Promise<void> {
    this.abort.abort()
    await this.running
  }

  private async compress(): Promise<void> {
    let fault: unknown
    try {
      for (const writer of this.writers) {
        for (const segment of [...writer.closed]) {
          if (this.abort.signal.aborted) return
          const next = writer.closed[writer.closed.indexOf(segment) + 1]?.first ?? writer.current.first
          if (segment.compressed || next > writer.signedSize) continue
          await this.pack(segment, writer.closed).catch((error: unknown) => {
            // One that stays keeps no other from its turn.
            if (!this.twins.has(segment.path)) throw error
            fault = error
          })
        }
      }
    } catch (error) {
      fault = error
    }
    if (this.abort.signal.aborted) return
    if (fault !== undefined && !this.told)
      this.logger.error({ error: reasonOf(fault) }, 'a closed segment cannot be compressed')
    this.told = fault !== undefined
  }

  /**
   * The plain file goes only when the other is on the disk under its name, and can be unpacked: a crash leaves both, or one. Where it
   * cannot be deleted the segment is plain as before, and only that is tried again.
   */
  private async pack(segment: Segment, closed: Segment[]): Promise<void> {
    const { path } = segment
    const packed = compressedPath(path)
    const fresh = `${packed}.tmp`
    try {
      const known = this.twins.get(path)
      this.twins.delete(path)
      if (known === undefined || (await orMissing(stat(packed), undefined))?.size !== known) {
        await this.write(path, fresh)
        await rename(fresh, packed)
        await syncDir(dirname(path))
      }
      const { size: bytes } = await stat(packed)
      await orMissing(unlink(path), undefined).catch((error: unknown) => {
        this.twins.set(path, bytes)
        throw error
      })
      const place = closed.indexOf(segment)
      if (place !== -1) {
        closed[place] = { ...segment, path: packed, bytes, compressed: true }
        return
      }
    } catch (error) {
      await unlink(fresh).catch(() => {})
      if (closed.includes(segment)) throw error
    }
    // Retention has deleted it meanwhile.
    this.twins.delete(path)
    await orMissing(unlink(packed), undefined)
  }

  private async write(from: string, to: string): Promise<void> {
    const { signal } = this.abort
    await pipeline(createReadStream(from), createGzip(), createWriteStream(to, { mode: this.mode }), { signal })
    const handle = await open(to, 'r+')
    try {
      // Its age counts, not that of its compression.
      const { mtime } = await stat(from)
      await handle.utimes(mtime, mtime)
      await handle.sync()
    } finally {
      await handle.close()
    }
    let bytes = 0
    const count = async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) bytes += chunk.length
    }
    await pipeline(createReadStream(to), createGunzip(), count, { signal })
    if (bytes !== (await stat(from)).size) throw new Error(`${to} is not what ${from} is`)
  }
}
