// Proofs are those of RFC 6962, hold for what they say, and for nothing else.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { consistencyProof, edgeAt, inclusionProof, leafAt, rootAt } from '../../src/log/log-proof.ts'
import { emptyRoot, fold, leafHash, Tree } from '../../src/log/merkle.ts'
import {
  proveConsistency,
  proveEdge,
  proveInclusion,
  rootOf,
  type SubtreeRoots,
  verifyConsistency,
  verifyInclusion,
} from '../../src/log/proof.ts'
import { TileWriter } from '../../src/log/tile-writer.ts'
import { tempFolder } from '../support/folder.ts'
import { naiveConsistency, naivePath, naiveRoot } from '../support/naive-tree.ts'

const leaves = Array.from({ length: 4096 }, (_, i) => leafHash(`line ${i}`))
const known = new Map<string, string>()
const roots: SubtreeRoots = {
  root: ({ height, index }) => {
    const key = `${height}/${index}`
    const root = known.get(key) ?? fold(leaves.slice(index * 2 ** height, (index + 1) * 2 ** height))
    known.set(key, root)
    return root
  },
}
const rootsOf = Array.from({ length: 201 }, (_, size) => naiveRoot(leaves.slice(0, size)))

describe('all trees of up to 200 lines', () => {
  it('have the inclusion proofs of the definition, which hold for their line only', async () => {
    const wrong: unknown[] = []
    for (let size = 1; size <= 200; size++) {
      for (let index = 0; index < size; index++) {
        const proof = await proveInclusion(index, size, roots)
        const root = rootsOf[size]!
        const holds = [
          verifyInclusion(index, size, leaves[index]!, proof, root),
          verifyInclusion(index, size, leaves[index + 1]!, proof, root),
          verifyInclusion(index + 1, size, leaves[index]!, proof, root),
          verifyInclusion(index, size, leaves[index]!, proof, rootsOf[size - 1]!),
        ]
        if (holds.join() !== 'true,false,false,false') wrong.push([size, index, holds])
        if ((index + size) % 17 === 0) expect(proof).toEqual(naivePath(index, leaves.slice(0, size)))
      }
    }
    expect(wrong).toEqual([])
  })

  it('have the consistency proofs of the definition, which hold for their two trees only', async () => {
    const wrong: unknown[] = []
    for (let size = 1; size <= 200; size++) {
      for (let old = 1; old <= size; old++) {
        const proof = await proveConsistency(old, size, roots)
        const [before, after] = [rootsOf[old]!, rootsOf[size]!]
        const holds = [
          verifyConsistency(old, before, size, after, proof),
          verifyConsistency(old, leaves[300]!, size, after, proof),
          verifyConsistency(old, before, size, leaves[300]!, proof),
        ]
        if (holds.join() !== 'true,false,false') wrong.push([size, old, holds])
        if ((old + size) % 17 === 0) expect(proof).toEqual(naiveConsistency(old, leaves.slice(0, size)))
      }
    }
    expect(wrong).toEqual([])
  })

  it('begin with the empty one, and with nothing else of no lines', () => {
    expect(verifyConsistency(0, emptyRoot, 5, rootsOf[5]!, [])).toBe(true)
    expect(verifyConsistency(0, emptyRoot, 0, emptyRoot, [])).toBe(true)
    expect(verifyConsistency(0, rootsOf[1]!, 5, rootsOf[5]!, [])).toBe(false)
    expect(verifyConsistency(0, rootsOf[1]!, 0, rootsOf[1]!, [])).toBe(false)
    expect(verifyConsistency(0, emptyRoot, 5, rootsOf[5]!, [leaves[0]!])).toBe(false)
  })
})

describe('any larger tree', () => {
  const sizes = fc.integer({ min: 1, max: leaves.length })

  it('has the same proofs as the definition', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), async (size, n) => {
        const whole = leaves.slice(0, size)
        const index = n % size
        expect(await proveInclusion(index, size, roots)).toEqual(naivePath(index, whole))
        expect(await proveConsistency(index + 1, size, roots)).toEqual(naiveConsistency(index + 1, whole))
        const edge = await proveEdge(size, roots)
        expect(rootOf(edge)).toBe(naiveRoot(whole))
        const grown = Tree.from(size, edge)!
        expect(grown.complete()).toEqual(edge)
        grown.push(leaves[0]!)
        expect(grown.root()).toBe(naiveRoot([...whole, leaves[0]!]))
      }),
      { numRuns: 60 },
    )
  })

  it('refuses a proof of which anything was changed, left out, doubled or added', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat(), fc.nat(), fc.nat(), async (size, n, where, how) => {
        const index = n % size
        const root = rootOf(await proveEdge(size, roots))
        const old = index + 1
        const oldRoot = rootOf(await proveEdge(old, roots))
        const damage = (proof: readonly string[]): string[] => {
          const at = where % (proof.length + 1)
          const copy = [...proof]
          if (how % 4 === 0) copy.splice(at, 0, leaves[where % leaves.length]!)
          else if (how % 4 === 1) copy.splice(Math.min(at, copy.length - 1), 1)
          else if (how % 4 === 2) copy.splice(at, 0, copy[at] ?? copy[0] ?? emptyRoot)
          else copy[Math.min(at, Math.max(copy.length - 1, 0))] = leafHash(`other ${where}`)
          return copy
        }
        const inclusion = await proveInclusion(index, size, roots)
        const consistency = await proveConsistency(old, size, roots)
        const [badInclusion, badConsistency] = [damage(inclusion), damage(consistency)]
        if (badInclusion.join() !== inclusion.join()) {
          expect(verifyInclusion(index, size, leaves[index]!, badInclusion, root)).toBe(false)
        }
        if (badConsistency.join() !== consistency.join()) {
          expect(verifyConsistency(old, oldRoot, size, root, badConsistency)).toBe(false)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('has an edge of one length only', () => {
    expect(Tree.from(5, [leaves[0]!])).toBeUndefined()
    expect(Tree.from(5, [leaves[0]!, leaves[1]!, leaves[2]!])).toBeUndefined()
    expect(Tree.from(0, [])?.root()).toBe(emptyRoot)
  })
})

describe('numbers that are none', () => {
  it.each([-1, 0.5, Number.NaN, 2 ** 53, Infinity])('%d is no place and no size', async (n) => {
    expect(verifyInclusion(n, 5, leaves[0]!, [], leaves[0]!)).toBe(false)
    expect(verifyInclusion(0, n, leaves[0]!, [], leaves[0]!)).toBe(false)
    expect(verifyConsistency(n, leaves[0]!, 5, leaves[0]!, [])).toBe(false)
    expect(verifyConsistency(1, leaves[0]!, n, leaves[0]!, [])).toBe(false)
    await expect(proveInclusion(n, 5, roots)).rejects.toThrow(RangeError)
    await expect(proveConsistency(n, 5, roots)).rejects.toThrow(RangeError)
  })

  it('and hashes that are none prove nothing', () => {
    expect(verifyInclusion(0, 2, leaves[0]!, ['short'], rootsOf[2]!)).toBe(false)
    expect(verifyConsistency(1, leaves[0]!, 2, 'short', [leaves[1]!])).toBe(false)
  })

  it('a tree does not shrink, and an empty one proves nothing of its line', async () => {
    expect(verifyConsistency(3, rootsOf[3]!, 2, rootsOf[2]!, [])).toBe(false)
    expect(verifyInclusion(0, 0, leaves[0]!, [], emptyRoot)).toBe(false)
    await expect(proveConsistency(3, 2, roots)).rejects.toThrow('a log of 3 lines does not grow to 2')
  })

  it('a tree of nearly 2⁵³ lines has proofs that hold', async () => {
    // Where every subtree of one height is the same, its root is known without its leaves.
    const [size, index] = [2 ** 53 - 1, 2 ** 52 + 12_345]
    const byHeight = [leaves[0]!]
    for (let height = 1; height <= 53; height++) byHeight.push(fold([byHeight[height - 1]!, byHeight[height - 1]!]))
    const same: SubtreeRoots = { root: ({ height }) => byHeight[height]! }
    const root = rootOf(await proveEdge(size, same))
    const proof = await proveInclusion(index, size, same)
    expect(verifyInclusion(index, size, leaves[0]!, proof, root)).toBe(true)
    expect(verifyInclusion(index, size, leaves[1]!, proof, root)).toBe(false)
    const oldRoot = rootOf(await proveEdge(index, same))
    expect(verifyConsistency(index, oldRoot, size, root, await proveConsistency(index, size, same))).toBe(true)
  })
})

describe('from the tiles of a log', () => {
  const size = 70_000
  const many = Array.from({ length: size }, (_, i) => leafHash(`line ${i}`))

  async function tiles(): Promise<string> {
    const dir = tempFolder()
    const writer = (await TileWriter.load(dir, 0o640, 0))!
    for (const leaf of many) writer.push(leaf)
    await writer.save()
    return dir
  }

  it('proofs of any size up to that of the log hold', async () => {
    const dir = await tiles()
    const edges = [1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, size - 1, size]
    for (const at of edges) {
      const tree = new Tree()
      for (const leaf of many.slice(0, at)) tree.push(leaf)
      const root = tree.root()
      expect(await rootAt(dir, at)).toBe(root)
      expect(await edgeAt(dir, at)).toEqual(tree.complete())
      for (const index of edges.filter((one) => one < at)) {
        const proof = await inclusionProof(dir, index, at)
        expect(verifyInclusion(index, at, many[index]!, proof, root)).toBe(true)
        const consistency = await consistencyProof(dir, index, at)
        expect(verifyConsistency(index, await rootAt(dir, index), at, root, consistency)).toBe(true)
      }
    }
    expect(await leafAt(dir, 65_536)).toBe(many[65_536])
  })

  it('nothing is proved of lines that are not there, or whose hashes are lost', async () => {
    const dir = await tiles()
    const invalid = { code: 'log-invalid' }
    await expect(rootAt(dir, size + 1)).rejects.toMatchObject(invalid)
    await expect(leafAt(dir, size)).rejects.toMatchObject(invalid)
    rmSync(join(dir, 'tile/0/003'))
    await expect(inclusionProof(dir, 800, size)).rejects.toThrow('tile/0/003 is missing or cut off')
    expect(await inclusionProof(dir, 0, size)).toHaveLength(17)
  })
})
