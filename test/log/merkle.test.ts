// The tree is that of RFC 6962, held against the known vectors of its reference implementations.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromHash, leafHash, leafHashIn, Tree } from '../../src/log/merkle.ts'
import { naiveRoot } from '../support/naive-tree.ts'

const hex = (value: string) => fromHash(value).toString('hex')

// The eight inputs, and the roots after each, that Certificate Transparency implementations share.
const inputs = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
const roots = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
]

describe('Tree', () => {
  it('has the root of the empty string when it is empty', () => {
    expect(hex(new Tree().root())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  })

  it('has the known roots', () => {
    const tree = new Tree()
    const found = inputs.map((input) => {
      tree.push(leafHash(Buffer.from(input, 'hex')))
      return hex(tree.root())
    })
    expect(found).toEqual(roots)
  })

  it('has the root of the definition at any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 700 }), (size) => {
        const leaves = Array.from({ length: size }, (_, i) => leafHash(String(i)))
        const tree = new Tree()
        for (const leaf of leaves) tree.push(leaf)
        expect(hex(tree.root())).toBe(hex(naiveRoot(leaves)))
      }),
      { numRuns: 30 },
    )
  })

  it('has the root and the subtrees of its full tiles at any size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1100 }), (size) => {
        const leaves = Array.from({ length: size }, (_, i) => leafHash(String(i)))
        const [tree, shorter] = [new Tree(), new Tree()]
        for (const leaf of leaves) tree.push(leaf)
        for (const leaf of leaves.slice(0, size - (size % 256))) shorter.push(leaf)
        expect(hex(tree.root(8))).toBe(hex(shorter.root()))
        expect(tree.complete(8)).toEqual(shorter.complete())
      }),
      { numRuns: 30 },
    )
  })

  it('tells the roots of 256 leaves as hashes of the next level', () => {
    const told: [number, string][] = []
    const tree = new Tree((level, value) => void (level > 0 && told.push([level, value])))
    const leaves = Array.from({ length: 600 }, (_, i) => leafHash(String(i)))
    for (const leaf of leaves) tree.push(leaf)
    expect(told).toEqual([
      [1, naiveRoot(leaves.slice(0, 256))],
      [1, naiveRoot(leaves.slice(256, 512))],
    ])
  })
})

it('hashes a line in place and leaves the buffer as it was', () => {
  const buffer = Buffer.from('\nabc\ndef\n')
  expect(leafHashIn(buffer, 5, 8)).toBe(leafHash('def'))
  expect(leafHash(Buffer.from('def'))).toBe(leafHash('def'))
  expect(buffer.toString()).toBe('\nabc\ndef\n')
})
