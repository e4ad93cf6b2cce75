// The Merkle tree as RFC 6962 section 2.1 writes it down, for tests: over all leaves, and without a thought to its cost.
import { nodeHash, Tree } from '../../src/log/merkle.ts'

const splitOf = (n: number): number => {
  let split = 1
  while (split * 2 < n) split *= 2
  return split
}

/** MTH. */
export function naiveRoot(leaves: readonly string[]): string {
  if (leaves.length === 0) return new Tree().root()
  if (leaves.length === 1) return leaves[0]!
  const split = splitOf(leaves.length)
  return nodeHash(naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)))
}

/** PATH. */
export function naivePath(index: number, leaves: readonly string[]): string[] {
  if (leaves.length <= 1) return []
  const split = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)]
  return index < split
    ? [...naivePath(index, left), naiveRoot(right)]
    : [...naivePath(index - split, right), naiveRoot(left)]
}

/** PROOF, by SUBPROOF. */
export function naiveConsistency(oldSize: number, leaves: readonly string[], known = true): string[] {
  if (oldSize === leaves.length) return known ? [] : [naiveRoot(leaves)]
  const split = splitOf(leaves.length)
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)]
  return oldSize <= split
    ? [...naiveConsistency(oldSize, left, known), naiveRoot(right)]
    : [...naiveConsistency(oldSize - split, right, false), naiveRoot(left)]
}
