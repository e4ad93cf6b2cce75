// Hashes of complete subtrees of a log, from its tiles: each costs at most one read of one tile.
import { join } from 'node:path'
import { BalancerError } from '../errors.ts'
import { fold, type Hash } from './merkle.ts'
import type { Subtree } from './proof.ts'
import { readTile, tilePath, tileWidth } from './tiles.ts'

// A tile holds the hashes of every eighth height (256 = 2⁸); those between are computed from it.
const tileHeight = 8

/** Reads each tile once, as long as it lives: for one question, not for a log that grows. */
export class TileHashes {
  private readonly tiles = new Map<string, Promise<Hash[] | undefined>>()

  constructor(private readonly logDir: string) {}

  /** The root of a complete subtree. Throws `log-invalid` if its tile is missing or cut off. */
  async root({ height, index }: Subtree): Promise<Hash> {
    const level = Math.floor(height / tileHeight)
    const width = 2 ** (height % tileHeight)
    const first = index * width
    const tile = Math.floor(first / tileWidth)
    const from = first % tileWidth
    const hashes = await this.read(level, tile, from + width)
    if (hashes === undefined) {
      throw new BalancerError('log-invalid', `${join(this.logDir, tilePath(level, tile))} is missing or cut off`)
    }
    return fold(hashes.slice(from, from + width))
  }

  private read(level: number, tile: number, width: number): Promise<Hash[] | undefined> {
    const key = `${level}/${tile}/${width}`
    const kept = this.tiles.get(key)
    if (kept !== undefined) return kept
    const reading = readTile(this.logDir, level, tile, width)
    this.tiles.set(key, reading)
    return reading
  }
}
