// Reads the lines of a log again to rebuild its tree, and holds them against the checkpoint.
import { canonical, type Json } from '../canonical.ts'
import { maxLineBytes } from '../sink.ts'
import type { Checkpoint } from './checkpoint.ts'
import { parseLine, placeFault } from './envelope.ts'
import { LineReader, lineStart } from './lines.ts'
import { leafHashIn } from './merkle.ts'
import type { Segment } from './segments.ts'
import { TileWriter } from './tile-writer.ts'
import { readTile, tileWidth } from './tiles.ts'

/** Where the last whole and valid line ends: what follows there, and in later segments, is torn. */
export interface Torn {
  readonly segment: Segment
  readonly offset: number
}

export interface Replayed {
  readonly tiles: TileWriter
  readonly torn?: Torn
}

/**
 * Reads `segments`, the last of the log; the tiles stand for what is before them, also for lines that were deleted before they were
 * signed. A string says what does not fit. A segment is compressed only when it is whole and signed: one that is torn was altered.
 */
export async function replay(
  dir: string,
  segments: readonly Segment[],
  checkpoint: Checkpoint,
  mode: number,
): Promise<Replayed | string> {
  try {
    const replayed = await replayLines(dir, segments, checkpoint, mode)
    const packed = typeof replayed !== 'string' && replayed.torn?.segment.compressed === true
    return packed ? 'a compressed segment is torn' : replayed
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith('Z_')) throw error
    return 'a compressed segment cannot be unpacked'
  }
}

/** Whether a line that nobody has signed yet is as a writer makes them. Another is not to be signed, and sinks would refuse it. */
function isOurs(line: Buffer, origin: string, index: number): boolean {
  if (line.length > maxLineBytes) return false
  const text = line.toString('utf8')
  const event = parseLine(text)
  try {
    return event !== undefined && placeFault(event, origin, index) === undefined && canonical(event as Json) === text
  } catch {
    return false
  }
}

/** Takes the lines from the size of the tree up to `end` from their hashes. Returns false if one is not there. */
async function pushHashes(dir: string, tiles: TileWriter, end: number): Promise<boolean> {
  while (tiles.size < end) {
    const [index, from] = [Math.floor(tiles.size / tileWidth), tiles.size % tileWidth]
    const hashes = await readTile(dir, 0, index, Math.min(tileWidth, end - index * tileWidth))
    if (hashes === undefined) return false
    for (const leaf of hashes.slice(from)) tiles.push(leaf)
  }
  return true
}

async function replayLines(
  dir: string,
  segments: readonly Segment[],
  checkpoint: Checkpoint,
  mode: number,
): Promise<Replayed | string> {
  const missing = 'lines that the checkpoint covers are missing'
  const altered = 'the lines do not match the checkpoint'
  const noHashes = 'the hashes of deleted lines are missing'
  const { first } = segments[0]!
  const tiles = await TileWriter.load(dir, mode, Math.min(first, checkpoint.size))
  if (tiles === undefined) return noHashes
  // Reached when exactly the signed lines are read: before the next one, or at the end.
  const fits = (): boolean => {
    tiles.assumeSaved()
    return tiles.root() === checkpoint.root
  }
  // Only a tree that is the signed one to begin with is gone on with: what is added to it cannot replace what was signed.
  if (first > checkpoint.size) {
    if (!fits()) return altered
    if (!(await pushHashes(dir, tiles, first))) return noHashes
  }
  for (const segment of segments) {
    if (segment.first !== tiles.size) {
      if (tiles.size < checkpoint.size) return missing
      if (tiles.size === checkpoint.size && !fits()) return altered
      return { tiles, torn: { segment, offset: 0 } }
    }
    const reader = await LineReader.open(segment.path)
    try {
      let offset = 0
      for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
        for (let i = 0; i < block.ends.length; i++) {
          const [start, end] = [lineStart(block, i), block.ends[i]!]
          if (tiles.size === checkpoint.size && !fits()) return altered
          if (tiles.size >= checkpoint.size) {
            const line = block.buffer.subarray(start, end)
            if (!isOurs(line, checkpoint.origin, tiles.size)) return { tiles, torn: { segment, offset } }
          }
          tiles.push(leafHashIn(block.buffer, start, end))
          offset += end + 1 - start
        }
      }
      if (reader.rest.length > 0) {
        if (tiles.size < checkpoint.size) return missing
        if (tiles.size === checkpoint.size && !fits()) return altered
        return { tiles, torn: { segment, offset } }
      }
    } finally {
      await reader.close()
    }
  }
  if (tiles.size < checkpoint.size) return missing
  return tiles.size === checkpoint.size && !fits() ? altered : { tiles }
}
