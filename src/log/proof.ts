// Inclusion and consistency proofs of RFC 6962 sections 2.1.1 and 2.1.2: made of subtree roots, and checked without the log.
import { emptyRoot, type Hash, hashBytes, nodeHash } from './merkle.ts'

/** The leaves from `index × 2^height` on, 2^height of them. */
export interface Subtree {
  readonly height: number
  readonly index: number
}

/** Leaves `[from, to)`, where `from` is a multiple of a power of two that is not smaller than their number. */
interface Range {
  readonly from: number
  readonly to: number
}

/** Where the roots of complete subtrees come from. */
export interface SubtreeRoots {
  root(subtree: Subtree): Hash | Promise<Hash>
}

const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0
const areHashes = (proof: readonly Hash[]): boolean => proof.every((one) => one.length === hashBytes)

/** The largest power of two below n. */
function splitOf(n: number): number {
  let split = 1
  while (split * 2 < n) split *= 2
  return split
}

/** The complete subtrees that a range is made of, the largest first. */
function subtreesOf({ from, to }: Range): Subtree[] {
  const found: Subtree[] = []
  for (let at = from; at < to; ) {
    let height = 0
    for (let width = 2; at + width <= to && at % width === 0; width *= 2) height++
    found.push({ height, index: at / 2 ** height })
    at += 2 ** height
  }
  return found
}

/** The ranges whose roots prove that a leaf is in a tree, from its sibling up. */
function inclusionRanges(index: number, { from, to }: Range): Range[] {
  if (to - from <= 1) return []
  const middle = from + splitOf(to - from)
  return index < middle
    ? [...inclusionRanges(index, { from, to: middle }), { from: middle, to }]
    : [...inclusionRanges(index, { from: middle, to }), { from, to: middle }]
}

/** SUBPROOF of RFC 6962 section 2.1.2; `known`: the verifier has the root of the range, if the old tree ends there. */
function consistencyRanges(oldSize: number, { from, to }: Range, known: boolean): Range[] {
  if (oldSize === to) return known ? [] : [{ from, to }]
  const middle = from + splitOf(to - from)
  return oldSize <= middle
    ? [...consistencyRanges(oldSize, { from, to: middle }, known), { from: middle, to }]
    : [...consistencyRanges(oldSize, { from: middle, to }, false), { from, to: middle }]
}

/** The root of a tree that is made of these complete subtrees, the largest first. */
export const rootOf = (edge: readonly Hash[]): Hash =>
  edge.length === 0 ? emptyRoot : edge.reduceRight((right, left) => nodeHash(left, right))

async function rangeRoot(range: Range, roots: SubtreeRoots): Promise<Hash> {
  const edge: Hash[] = []
  for (const subtree of subtreesOf(range)) edge.push(await roots.root(subtree))
  return rootOf(edge)
}

async function rangeRoots(ranges: readonly Range[], roots: SubtreeRoots): Promise<Hash[]> {
  const found: Hash[] = []
  for (const range of ranges) found.push(await rangeRoot(range, roots))
  return found
}

/** Throws a RangeError for an index that is not in a tree of this size. */
export async function proveInclusion(index: number, size: number, roots: SubtreeRoots): Promise<Hash[]> {
  if (!isSize(index) || !isSize(size) || index >= size) throw new RangeError(`line ${index} is not one of ${size}`)
  return rangeRoots(inclusionRanges(index, { from: 0, to: size }), roots)
}

/** Empty for trees of one size, and from an empty one. Throws a RangeError for a tree that is to grow smaller. */
export async function proveConsistency(oldSize: number, newSize: number, roots: SubtreeRoots): Promise<Hash[]> {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize) {
    throw new RangeError(`a log of ${oldSize} lines does not grow to ${newSize}`)
  }
  if (oldSize === 0) return []
  return rangeRoots(consistencyRanges(oldSize, { from: 0, to: newSize }, true), roots)
}

/** Roots of the complete subtrees that a tree of this size is made of, the largest first: what it grows on from. */
export async function proveEdge(size: number, roots: SubtreeRoots): Promise<Hash[]> {
  const edge: Hash[] = []
  for (const subtree of subtreesOf({ from: 0, to: size })) edge.push(await roots.root(subtree))
  return edge
}

/** Whether a leaf is at this index of the tree with this size and root (RFC 9162 section 2.1.3.2). Never throws. */
export function verifyInclusion(index: number, size: number, leaf: Hash, proof: readonly Hash[], root: Hash): boolean {
  if (!isSize(index) || !isSize(size) || index >= size || !areHashes([...proof, leaf])) return false
  let at = index
  let last = size - 1
  let value = leaf
  for (const sibling of proof) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      value = nodeHash(sibling, value)
      // A node at the right edge without a sibling is its own parent.
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    } else {
      value = nodeHash(value, sibling)
    }
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 && value === root
}

/**
 * Whether the tree with the old size and root is the beginning of the one with the new ones (RFC 9162 section 2.1.4.2). Any tree begins with
 * the empty one. Never throws.
 */
export function verifyConsistency(
  oldSize: number,
  oldRoot: Hash,
  newSize: number,
  newRoot: Hash,
  proof: readonly Hash[],
): boolean {
  if (!isSize(oldSize) || !isSize(newSize) || oldSize > newSize || !areHashes([...proof, oldRoot, newRoot]))
    return false
  if (oldSize === newSize) return proof.length === 0 && oldRoot === newRoot && (newSize > 0 || newRoot === emptyRoot)
  if (oldSize === 0) return proof.length === 0 && oldRoot === emptyRoot
  let at = oldSize - 1
  let last = newSize - 1
  while (at % 2 === 1) [at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  // A complete old tree is a node of the new one: its root is not repeated in the proof.
  const [first, ...rest] = at === 0 ? [oldRoot, ...proof] : proof
  if (first === undefined) return false
  let oldValue = first
  let newValue = first
  for (const node of rest) {
    if (last === 0) return false
    if (at % 2 === 1 || at === last) {
      oldValue = nodeHash(node, oldValue)
      newValue = nodeHash(node, newValue)
      while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)]
    } else {
      newValue = nodeHash(newValue, node)
    }
    ;[at, last] = [Math.floor(at / 2), Math.floor(last / 2)]
  }
  return last === 0 && oldValue === oldRoot && newValue === newRoot
}
