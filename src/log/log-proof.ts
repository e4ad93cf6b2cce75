// Proofs of a log on disk, from its tiles alone: they hold for lines that retention has deleted as well.
import type { Hash } from './merkle.ts'
import { proveConsistency, proveEdge, proveInclusion, rootOf } from './proof.ts'
import { TileHashes } from './tile-hashes.ts'

/**
 * The proof that line `index` is in the tree of the first `size` lines. Each of these throws `log-invalid` if a tile is missing, as it is where
 * the log is shorter, and a RangeError for numbers that do not fit each other.
 */
export const inclusionProof = (logDir: string, index: number, size: number): Promise<Hash[]> =>
  proveInclusion(index, size, new TileHashes(logDir))

/** The proof that the first `oldSize` lines are the beginning of the first `newSize`. */
export const consistencyProof = (logDir: string, oldSize: number, newSize: number): Promise<Hash[]> =>
  proveConsistency(oldSize, newSize, new TileHashes(logDir))

/** Roots of the complete subtrees that the first `size` lines are made of, the largest first. */
export const edgeAt = (logDir: string, size: number): Promise<Hash[]> => proveEdge(size, new TileHashes(logDir))

/** The root of the first `size` lines. */
export const rootAt = async (logDir: string, size: number): Promise<Hash> => rootOf(await edgeAt(logDir, size))

/** The leaf hash of line `index`. */
export const leafAt = (logDir: string, index: number): Promise<Hash> =>
  Promise.resolve(new TileHashes(logDir).root({ height: 0, index }))
