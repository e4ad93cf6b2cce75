// Opens what a witness holds of a log: reads its last segment again, and the tiles for what is before.
import { mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { checkpointPath } from '../log/checkpoint-file.ts'
import type { Cosigner } from '../log/cosignature.ts'
import { parseLine } from '../log/envelope.ts'
import { type KeyChange, keyChangeMark, keyChangeOf } from '../log/key-line.ts'
import { LineReader, lineStart } from '../log/lines.ts'
import { type Hash, leafHashIn } from '../log/merkle.ts'
import type { Verifier } from '../log/note.ts'
import { SegmentFile } from '../log/segment-file.ts'
import { listSegments, orMissing, type Segment, syncDir } from '../log/segments.ts'
import { type LineRange, openStatement, statementPath } from '../log/statement.ts'
import { TileWriter } from '../log/tile-writer.ts'
import { randomHex } from '../random.ts'

export interface HeldOptions {
  readonly mode: number
  /** A segment is closed before it gets larger, and at the first line after this time. */
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number }
  readonly cosigner: Cosigner
  /** The key of the cosigner and those that it had before, as keys of ordinary notes. */
  readonly own: readonly Verifier[]
  /** See KeepingTime. */
  readonly now: () => number
  /** Is told of what holds up nothing. */
  readonly onFault: (error: unknown) => void
}

export interface Loaded {
  readonly tiles: TileWriter
  readonly file: SegmentFile
  readonly closed: Segment[]
  readonly missing: LineRange[]
  readonly changes: KeyChange[]
  readonly pruned: number
  readonly checkpointText: string | undefined
}

/** Opens a log, or begins it. What cannot be gone on with is moved beside it first. */
export async function loadLog(dir: string, options: HeldOptions): Promise<Loaded> {
  const loaded = await load(dir, options)
  if (!('fault' in loaded)) return loaded
  const aside = join(dirname(dir), `${basename(dir)}.aside-${randomHex(4)}`)
  await mkdir(aside, { mode: 0o750 })
  for (const name of ['segments', 'tile']) await orMissing(rename(join(dir, name), join(aside, name)), undefined)
  await orMissing(unlink(statementPath(dir)), undefined)
  await syncDir(dirname(dir))
  const begun = await load(dir, options)
  if ('fault' in begun) throw new Error(`${dir}: ${begun.fault}`)
  return begun
}

/** The fault says why the lines and hashes that are there cannot be gone on with. */
async function load(dir: string, options: HeldOptions): Promise<Loaded | { readonly fault: string }> {
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const note = await orMissing(readFile(checkpointPath(dir), 'utf8'), undefined)
  const checkpointText = note?.slice(0, note.lastIndexOf('\n\n') + 1)
  const segments = await listSegments(dir)
  const last = segments.at(-1)
  if (last === undefined) {
    const tiles = (await TileWriter.load(dir, options.mode, 0))!
    const file = await SegmentFile.create(dir, 0, options.mode, options.now())
    await syncDir(dir)
    return { tiles, file, closed: [], missing: [], changes: [], pruned: 0, checkpointText }
  }
  // Tiles are made durable before a segment is begun: they stand for all that is before the last one.
  const tiles = await TileWriter.load(dir, options.mode, last.first)
  if (tiles === undefined) return { fault: 'hashes are missing' }
  const signed = checkpointText === undefined ? undefined : parseCheckpoint(checkpointText)
  const altered = (): boolean => {
    if (tiles.size !== signed?.size) return false
    tiles.assumeSaved()
    return tiles.root() !== signed.root
  }
  if (altered()) return { fault: 'the lines do not match the checkpoint' }
  const changes: KeyChange[] = []
  const end = await readLines(last.path, (leaf, line) => {
    const change = line.includes(keyChangeMark) ? keyChangeOf(parseLine(line.toString('utf8')), tiles.size) : undefined
    if (change !== undefined) changes.push(change)
    tiles.push(leaf)
    return !altered()
  })
  if (end === undefined) return { fault: 'the lines do not match the checkpoint' }
  // An unfinished line was never answered for: its sender has it.
  if (end < last.bytes) await cut(last.path, end)
  const { birthtimeMs, mtimeMs } = await stat(last.path)
  const file = await SegmentFile.resume({ ...last, bytes: end }, birthtimeMs || mtimeMs)
  const closed = segments.slice(0, -1)
  return closingOnFault(file, async () => {
    // The system may have kept lines in memory whose fsync was not reached.
    await file.sync()
    return { tiles, file, closed, changes, ...(await stated(dir, tiles.size, options.own)), checkpointText }
  })
}

/** A log that cannot be opened is tried again with each call: each time would else leave a file open. */
export async function closingOnFault<T>(file: SegmentFile, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    await file.close().catch(() => undefined)
    throw error
  }
}

/** Tells each whole line until told to stop; returns where the last one ends, or undefined if it was stopped. */
async function readLines(path: string, onLine: (leaf: Hash, line: Buffer) => boolean): Promise<number | undefined> {
  const reader = await LineReader.open(path)
  try {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++) {
        const [start, end] = [lineStart(block, i), block.ends[i]!]
        if (!onLine(leafHashIn(block.buffer, start, end), block.buffer.subarray(start, end))) return undefined
      }
    }
    return reader.tail
  } finally {
    await reader.close()
  }
}

async function cut(path: string, end: number): Promise<void> {
  const handle = await open(path, 'r+')
  try {
    await handle.truncate(end)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** What was stated of lines that are not here. Throws if another has: it would be signed anew, and lines that were taken away be excused. */
async function stated(
  dir: string,
  size: number,
  own: readonly Verifier[],
): Promise<{ missing: LineRange[]; pruned: number }> {
  const note = await orMissing(readFile(statementPath(dir)), undefined)
  if (note === undefined) return { missing: [], pruned: 0 }
  const statement = openStatement(note, own)
  if ('fault' in statement)
    throw new Error(`${statementPath(dir)} is none of this witness, nor of its formerKeys: ${statement.fault}`)
  // A crash may come between a statement and what it tells of.
  return { missing: statement.missing.filter(({ last }) => last < size), pruned: Math.min(statement.pruned, size) }
}
