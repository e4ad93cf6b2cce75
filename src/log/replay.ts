// Reads the lines of a log again to rebuild its tree, and holds them against the checkpoint.
import { canonical, type Json } from '../canonical.ts'
import { BalancerError } from '../errors.ts'
import { maxLineBytes } from '../sink.ts'
import type { Checkpoint } from './checkpoint.ts'
import { parseLine, placeFault } from './envelope.ts'
import { LineReader, lineStart } from './lines.ts'
import { edgeAt } from './log-proof.ts'
import { leafHashIn, Tree } from './merkle.ts'
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

const missing = 'lines that the checkpoint covers are missing'
const altered = 'the lines do not match the checkpoint'
const noHashes = 'the hashes of deleted lines are missing'

/** What is wrong with a tree that should be the signed one and what came behind it, of which all lines are deleted; undefined if nothing is. */
async function faultBehind(dir: string, { size, root }: Checkpoint, tiles: TileWriter): Promise<string | undefined> {
  const edge = await edgeAt(dir, size).catch((error: unknown) => {
    if (!(error instanceof BalancerError)) throw error
  })
  const tree = edge && Tree.from(size, edge)
  if (tree === undefined) return noHashes
  if (tree.root() !== root) return altered
  while (tree.size < tiles.size) {
    const [index, from] = [Math.floor(tree.size / tileWidth), tree.size % tileWidth]
    const leaves = await readTile(dir, 0, index, Math.min(tileWidth, tiles.size - index * tileWidth))
    if (leaves === undefined) return noHashes
    for (const leaf of leaves.slice(from)) tree.push(leaf)
  }
  return tree.root() === tiles.root() ? undefined : altered
}

async function replayLines(
  dir: string,
  segments: readonly Segment[],
  checkpoint: Checkpoint,
  mode: number,
): Promise<Replayed | string> {
  const { first } = segments[0]!
  const tiles = await TileWriter.load(dir, mode, first)
  if (tiles === undefined) return noHashes
  const fault = first > checkpoint.size ? await faultBehind(dir, checkpoint, tiles) : undefined
  if (fault !== undefined) return fault
  // Reached when exactly the signed lines are read: before the next one, or at the end.
  const fits = (): boolean => {
    tiles.assumeSaved()
    return tiles.root() === checkpoint.root
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
