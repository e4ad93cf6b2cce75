// Hash tiles on disk, as C2SP tlog-tiles lays them out: 256 hashes of one level in a file.
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Hash, hashBytes, toHash } from './merkle.ts'
import { readRegular, UnusableFile } from './regular-file.ts'
import { orMissing } from './segments.ts'

export const tileWidth = 256

/** Path of a tile in the folder of its log: the index in groups of three digits, all but the last with an x before. */
export function tilePath(level: number, index: number, width = tileWidth): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `tile/${level}/${groups.join('/')}${width < tileWidth ? `.p/${width}` : ''}`
}

/** Where the tiles of a level end in a log of `size` lines: the index of the last, partial one and how much it holds. */
export function tileEdge(size: number, level: number): { readonly index: number; readonly width: number } {
  const hashes = Math.floor(size / tileWidth ** level)
  return { index: Math.floor(hashes / tileWidth), width: hashes % tileWidth }
}

/**
 * The first `width` hashes of a tile, from the full tile or any partial one that is wide enough: a writer that runs may have
 * replaced the one that was asked for. Undefined if there is none.
 */
export async function readTile(
  logDir: string,
  level: number,
  index: number,
  width: number,
): Promise<Hash[] | undefined> {
  const full = join(logDir, tilePath(level, index))
  const partials = (await orMissing(readdir(`${full}.p`), [])).map(Number).filter((one) => one >= width)
  const narrow = partials.sort((a, b) => a - b).map((one) => ({ path: `${full}.p/${one}`, holds: one }))
  const whole = { path: full, holds: tileWidth }
  // The full tile is looked for last as well: partial ones are deleted once it is there.
  for (const { path, holds } of [whole, ...narrow, whole]) {
    const bytes = await orMissing(readRegular(path, holds * hashBytes), undefined).catch(unusable)
    if (bytes !== undefined && bytes.length === holds * hashBytes) {
      return Array.from({ length: width }, (_, i) => toHash(bytes, i * hashBytes))
    }
  }
  return undefined
}

/** What is no tile counts as none. */
function unusable(error: unknown): undefined {
  if (!(error instanceof UnusableFile)) throw error
}
