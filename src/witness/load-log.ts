// Opens what a witness holds of a log: reads its last segment again, and the tiles for what is before.
import { mkdir, open, readFile, stat } from 'node:fs/promises'
import { parseCheckpoint } from '../log/checkpoint.ts'
import { checkpointPath } from '../log/checkpoint-file.ts'
import { LineReader, lineStart } from '../log/lines.ts'
import { leafHashIn } from '../log/merkle.ts'
import { SegmentFile } from '../log/segment-file.ts'
import { listSegments, orMissing, type Segment, syncDir } from '../log/segments.ts'
import { type LineRange, parseStatement, statementPath } from '../log/statement.ts'
import { TileWriter } from '../log/tile-writer.ts'
import type { HeldOptions } from './held-log.ts'

export interface Loaded {
  readonly tiles: TileWriter
  readonly file: SegmentFile
  readonly closed: Segment[]
  readonly missing: LineRange[]
  readonly pruned: number
  readonly checkpointText: string | undefined
}

/** The fault says why the lines and hashes that are there cannot be gone on with. */
export async function loadLog(dir: string, options: HeldOptions): Promise<Loaded | { readonly fault: string }> {
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const note = await orMissing(readFile(checkpointPath(dir), 'utf8'), undefined)
  const checkpointText = note?.slice(0, note.lastIndexOf('\n\n') + 1)
  const segments = await listSegments(dir)
  const last = segments.at(-1)
  if (last === undefined) {
    const tiles = (await TileWriter.load(dir, options.mode, 0))!
    const file = await SegmentFile.create(dir, 0, options.mode, options.now())
    await syncDir(dir)
    return { tiles, file, closed: [], missing: [], pruned: 0, checkpointText }
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
  const end = await readLines(last.path, (leaf) => {
    tiles.push(leaf)
    return !altered()
  })
  if (end === undefined) return { fault: 'the lines do not match the checkpoint' }
  // An unfinished line was never answered for: its sender has it.
  if (end < last.bytes) await cut(last.path, end)
  const { birthtimeMs, mtimeMs } = await stat(last.path)
  const file = await SegmentFile.resume({ ...last, bytes: end }, birthtimeMs || mtimeMs)
  // The system may have kept lines in memory whose fsync was not reached.
  await file.sync()
  const closed = segments.slice(0, -1)
  return { tiles, file, closed, ...(await stated(dir, tiles.size)), checkpointText }
}

/** Tells the leaf of each whole line until told to stop; returns where the last one ends, or undefined if it was stopped. */
async function readLines(path: string, onLeaf: (leaf: string) => boolean): Promise<number | undefined> {
  const reader = await LineReader.open(path)
  try {
    for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
      for (let i = 0; i < block.ends.length; i++) {
        if (!onLeaf(leafHashIn(block.buffer, lineStart(block, i), block.ends[i]!))) return undefined
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

/** What was stated of lines that are not here. Whoever can write here has the key beside it: the signature is for others. */
async function stated(dir: string, size: number): Promise<{ missing: LineRange[]; pruned: number }> {
  const note = await orMissing(readFile(statementPath(dir), 'utf8'), undefined)
  const statement = note === undefined ? undefined : parseStatement(note.slice(0, note.lastIndexOf('\n\n') + 1))
  if (statement === undefined) return { missing: [], pruned: 0 }
  // A crash may come between a statement and what it tells of.
  return { missing: statement.missing.filter(({ last }) => last < size), pruned: Math.min(statement.pruned, size) }
}
