// The RFC 6962 Merkle tree: hashes of leaves and nodes, and a tree that grows leaf by leaf.
import { hash } from 'node:crypto'

/**
 * A SHA-256 hash as text, one Latin-1 character for each of its 32 bytes: immutable, compared by ===, and a fifth of the
 * price of a buffer to make.
 */
export type Hash = string
export const hashBytes = 32

export const toHash = (bytes: Buffer, start = 0): Hash => bytes.toString('latin1', start, start + hashBytes)
export const fromHash = (value: Hash): Buffer => Buffer.from(value, 'latin1')

/** MTH of an empty list (RFC 6962 section 2.1). */
export const emptyRoot: Hash = hash('sha256', '', 'binary')

/** Hash of a leaf: SHA-256 of 0x00 and the bytes (RFC 6962 section 2.1). */
export const leafHash = (line: string | Uint8Array): Hash =>
  typeof line === 'string'
    ? hash('sha256', `\0${line}`, 'binary')
    : hash('sha256', Buffer.concat([Buffer.from([0]), line]), 'binary')

/**
 * The leaf hash of `buffer[start, end)` without a copy. `start` must be at least 1: the byte before is 0x00 during the call,
 * and is put back.
 */
export function leafHashIn(buffer: Buffer, start: number, end: number): Hash {
  const before = buffer[start - 1]!
  buffer[start - 1] = 0
  const value = hash('sha256', buffer.subarray(start - 1, end), 'binary')
  buffer[start - 1] = before
  return value
}

const scratch = Buffer.alloc(1 + 2 * hashBytes)
scratch[0] = 1

/** Hash of an inner node: SHA-256 of 0x01, left and right (RFC 6962 section 2.1). */
export function nodeHash(left: Hash, right: Hash): Hash {
  scratch.write(left, 1, 'latin1')
  scratch.write(right, 1 + hashBytes, 'latin1')
  return hash('sha256', scratch, 'binary')
}

/** Called with each hash that a tile keeps: `level` 0 is a leaf, `level` n the root of 256ⁿ leaves. */
export type OnTileHash = (level: number, value: Hash) => void

/** A tree of which only the right edge is kept: memory and each push grow with the logarithm of its size. */
export class Tree {
  /** By height: the root of the complete subtree there, for each bit that is set in the size. Written by push. */
  private readonly edge: Hash[] = []
  private count = 0

  constructor(private readonly onTileHash: OnTileHash = () => {}) {}

  get size(): number {
    return this.count
  }

  push(leaf: Hash): void {
    let value = leaf
    let height = 0
    this.onTileHash(0, value)
    for (let n = this.count; n % 2 === 1; n = (n - 1) / 2) {
      value = nodeHash(this.edge[height]!, value)
      height++
      if (height % 8 === 0) this.onTileHash(height / 8, value)
    }
    this.edge[height] = value
    this.count++
  }

  /** Of all leaves; or of those in the subtrees of 2^`low` leaves that are complete. */
  root(low = 0): Hash {
    let root: Hash | undefined
    for (let n = Math.floor(this.count / 2 ** low), height = low; n > 0; n = Math.floor(n / 2), height++) {
      if (n % 2 === 1) root = root === undefined ? this.edge[height]! : nodeHash(this.edge[height]!, root)
    }
    return root ?? emptyRoot
  }

  /**
   * Roots of the complete subtrees that it is made of, the largest first: one for each bit that is set in the size. `low` as in
   * `root`.
   */
  complete(low = 0): Hash[] {
    const found: Hash[] = []
    for (let n = Math.floor(this.count / 2 ** low), height = low; n > 0; n = Math.floor(n / 2), height++) {
      if (n % 2 === 1) found.unshift(this.edge[height]!)
    }
    return found
  }

  /** What `complete` was before the last leaf; undefined if that was not pushed here, for only a push leaves it behind. */
  before(): Hash[] | undefined {
    const found: (Hash | undefined)[] = []
    for (let n = this.count - 1, height = 0; n > 0; n = Math.floor(n / 2), height++) {
      if (n % 2 === 1) found.unshift(this.edge[height])
    }
    return found.every((one) => one !== undefined) ? found : undefined
  }

  /** Goes on from `size` leaves of which only the complete subtrees are known. Undefined if it takes another number of them. */
  static from(size: number, complete: readonly Hash[]): Tree | undefined {
    const tree = new Tree()
    tree.count = size
    let taken = complete.length
    for (let n = size, height = 0; n > 0; n = Math.floor(n / 2), height++) {
      if (n % 2 === 0) continue
      const value = complete[--taken]
      if (value === undefined) return undefined
      tree.edge[height] = value
    }
    return taken === 0 ? tree : undefined
  }

  /** A tree of the same leaves that goes its own way, and tells nobody. */
  fork(): Tree {
    const tree = new Tree()
    tree.edge.push(...this.edge)
    tree.count = this.count
    return tree
  }

  /**
   * Goes on from `size` leaves of which only tiles are left: `hashes(level)` must give the hashes in the last, partial tile of
   * that level.
   */
  static resume(size: number, hashes: (level: number) => readonly Hash[], onTileHash?: OnTileHash): Tree {
    const tree = new Tree(onTileHash)
    tree.count = size
    for (let n = size, level = 0; n > 0; n = Math.floor(n / 256), level++) {
      const kept = hashes(level)
      let from = 0
      for (let bit = 7; bit >= 0; bit--) {
        const width = 2 ** bit
        if (Math.floor(n / width) % 2 === 0) continue
        tree.edge[8 * level + bit] = fold(kept.slice(from, from + width))
        from += width
      }
    }
    return tree
  }
}

/** The root over 2ⁿ hashes. */
export function fold(hashes: readonly Hash[]): Hash {
  let row = hashes
  while (row.length > 1) {
    const next: Hash[] = []
    for (let i = 0; i < row.length; i += 2) next.push(nodeHash(row[i]!, row[i + 1]!))
    row = next
  }
  return row[0]!
}
