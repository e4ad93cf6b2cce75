// murmur3: the published answers, and the same hash as over the bytes.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mixed, murmur3 } from '../../../src/strategies/hash/murmur3.ts'

/** MurmurHash3 x86_32 as it is published, over bytes and with 64-bit arithmetic. */
function plain(bytes: Uint8Array, seed: number): number {
  const mask = 0xffff_ffffn
  const rotl = (x: bigint, r: bigint): bigint => ((x << r) | (x >> (32n - r))) & mask
  const scramble = (k: bigint): bigint => (rotl((k * 0xcc9e2d51n) & mask, 15n) * 0x1b873593n) & mask
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const whole = bytes.length - (bytes.length % 4)
  let h = BigInt(seed)
  for (let i = 0; i < whole; i += 4)
    h = (rotl(h ^ scramble(BigInt(view.getUint32(i, true))), 13n) * 5n + 0xe6546b64n) & mask
  let rest = 0n
  for (let i = bytes.length - 1; i >= whole; i--) rest = (rest << 8n) | BigInt(bytes[i]!)
  h = h ^ scramble(rest) ^ BigInt(bytes.length)
  h = ((h ^ (h >> 16n)) * 0x85ebca6bn) & mask
  h = ((h ^ (h >> 13n)) * 0xc2b2ae35n) & mask
  return Number(h ^ (h >> 16n))
}

describe('murmur3', () => {
  it.each([
    ['', 0, 0],
    ['', 1, 0x514e28b7],
    ['', 0xffffffff, 0x81f16f39],
    ['a', 0x9747b28c, 0x7fa09ea6],
    ['aa', 0x9747b28c, 0x5d211726],
    ['aaa', 0x9747b28c, 0x283e0130],
    ['aaaa', 0x9747b28c, 0x5a97808a],
    ['abc', 0, 0xb3dd93fa],
    ['Hello, world!', 0, 0xc0363e43],
    ['Hello, world!', 0x9747b28c, 0x24884cba],
    ['ππππππππ', 0x9747b28c, 0xd58063c1],
    ['The quick brown fox jumps over the lazy dog', 0, 0x2e4ff723],
    ['The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd],
  ])('has the published answer for %j with seed %i', (text, seed, answer) => {
    expect(murmur3(text, seed) >>> 0).toBe(answer)
  })

  it('is that of the UTF-8 bytes, for any text', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.string(),
      fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀') }),
    )
    fc.assert(
      fc.property(text, fc.nat(0xffff_ffff), (key, seed) => {
        expect(murmur3(key, seed) >>> 0).toBe(plain(new TextEncoder().encode(key), seed))
      }),
      { numRuns: 2000 },
    )
  })

  it.each(['\ud83d', '\ude00', 'a\ud83dz', '\ude00\ud83d', '\ud83d\ud83d\ude00'])(
    'takes a lone surrogate for U+FFFD: %j',
    (text) => {
      expect(murmur3(text, 7) >>> 0).toBe(plain(new TextEncoder().encode(text.toWellFormed()), 7))
    },
  )
})

describe('mixed', () => {
  it('gives another value for every hash, and other values with another id', () => {
    const values = (first: number, second: number): number[] =>
      Array.from({ length: 4096 }, (_, hash) => mixed(hash, first, second))
    const one = values(1, 2)
    expect(new Set(one).size).toBe(4096)
    for (const other of [values(1, 3), values(2, 2)]) expect(other.filter((value, i) => value === one[i])).toEqual([])
  })

  // 65,536 values in 256 cells: chi-square with 255 degrees of freedom is below 347 in 99.99 %.
  it('spreads hashes that follow each other evenly: 65,536 values, chi-square at 99.99 %', () => {
    for (const shift of [0, 12, 24]) {
      const cells = new Array<number>(256).fill(0)
      for (let hash = 0; hash < 65_536; hash++) cells[(mixed(hash, 0x1234, 0x5678) >>> shift) & 255]!++
      const chiSquare = cells.reduce((sum, count) => sum + (count - 256) ** 2 / 256, 0)
      expect(chiSquare).toBeLessThan(347)
    }
  })
})
