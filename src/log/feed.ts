// The feed: hands the durable lines of a writer's logs to its sinks, each from its own cursor.
import { mkdir, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import type { Logger } from '../runtime.ts'
import type { Cursor, Feed, LineFeed, LogName, SignedCheckpoint, Stretch } from '../sink.ts'
import { Cursors, fileNameOf } from './cursors.ts'
import { fromHash, type Hash } from './merkle.ts'
import { kindOf } from './segment-fault.ts'
import { SegmentReader } from './segment-reader.ts'
import { orMissing } from './segments.ts'
import { readTile, tileWidth } from './tiles.ts'
import type { LogWriter } from './writer.ts'

/** What sinks refuse for good is kept up to this size for each of them; what comes then stands in a gap only. */
const mostBuried = 64 * 1024 ** 2

export class StoreFeed implements LineFeed {
  readonly lasting = true
  readonly cursors: Cursors
  /** Sinks whose dead letters were told to be full. */
  private readonly full = new Set<string>()
  private readonly readers = new Map<object, SegmentReader>()
  /** Written by close. */
  private closed = false

  constructor(
    private readonly instanceDir: string,
    private readonly mode: number,
    private readonly writers: Readonly<Record<LogName, LogWriter>>,
    private readonly clock: Clock,
    private readonly logger: Logger,
  ) {
    const position = (log: LogName) => {
      const { origin, nextIndex: next } = writers[log]
      return { origin, next }
    }
    this.cursors = new Cursors(join(instanceDir, 'cursors'), mode, position, clock, logger)
  }

  bounds(log: LogName): { origin: string; first: number; end: number } {
    const { origin, firstIndex: first, durableEnd: end } = this.writers[log]
    return { origin, first, end }
  }

  async read(
    log: LogName,
    from: number,
    most: { lines: number; bytes: number },
    key: object,
  ): Promise<Stretch | undefined> {
    const writer = this.writers[log]
    if (this.closed) return undefined
    let reader = this.readers.get(key)
    if (reader === undefined) {
      reader = new SegmentReader(this.clock, () => writer.closeSegment())
      this.readers.set(key, reader)
    }
    return from >= writer.durableEnd
      ? undefined
      : reader.read(() => writer.allSegments(), from, writer.durableEnd, most)
  }

  async leaves(log: LogName, first: number, last: number): Promise<Uint8Array[]> {
    const { dir, signedSize } = this.writers[log]
    const found: Uint8Array[] = []
    let tile: readonly Hash[] | undefined
    for (let index = first; index <= last && index < signedSize; index++) {
      const [number, place] = [Math.floor(index / tileWidth), index % tileWidth]
      if (tile === undefined || place === 0)
        tile = await orUnreadable(readTile(dir, 0, number, Math.min(tileWidth, signedSize - number * tileWidth)))
      const value = tile?.[place]
      if (value === undefined) break
      found.push(fromHash(value))
    }
    return found
  }

  checkpoint(log: LogName): SignedCheckpoint | undefined {
    return this.writers[log].checkpoint
  }

  cursor(sink: string, from: Feed['from']): Promise<Cursor> {
    return this.cursors.of(sink, from)
  }

  async bury(sink: string, line: string, why: string): Promise<boolean> {
    const dir = join(this.instanceDir, 'dead')
    await mkdir(dir, { recursive: true, mode: 0o750 })
    const path = join(dir, `${fileNameOf(sink)}.jsonl`)
    const time = new Date(this.clock.now()).toISOString()
    const text = `${JSON.stringify({ line, sink, time, why })}\n`
    const facts = await orMissing(stat(path), undefined)
    if ((facts?.size ?? 0) + text.length > mostBuried) {
      this.tellFull(sink, path)
      return false
    }
    const handle = await open(path, 'a', this.mode)
    try {
      await handle.appendFile(text)
      await handle.datasync()
    } finally {
      await handle.close()
    }
    return true
  }

  private tellFull(sink: string, path: string): void {
    if (this.full.has(sink)) return
    this.full.add(sink)
    this.logger.error(
      { sink, path },
      'the dead letters of an audit sink are full: what it refuses is not kept; told once',
    )
  }

  /** See Cursors. */
  delivered(log: LogName): Promise<number> {
    return this.cursors.delivered(log)
  }

  /** Nothing may be read any more. */
  async close(): Promise<void> {
    this.closed = true
    await this.cursors.close()
    for (const reader of this.readers.values()) await reader.close()
  }
}

/** Undefined for what cannot be read; rejects with what passes. */
const orUnreadable = <T>(read: Promise<T>): Promise<T | undefined> =>
  read.catch((error: unknown) => {
    if (kindOf(error) === 'passing') throw error
    return undefined
  })
