// Randomness: the only place that draws.
import { randomBytes, randomFillSync } from 'node:crypto'

/** Where chance comes from. Draws are uint32, so that a record of them replays on any machine. */
export interface Random {
  /** A uniform integer in [0, 2³²). */
  uint32(): number
}

/**
 * xoshiro128** (David Blackman and Sebastiano Vigna, 2018, public domain), seeded by the system. Not `Math.random`, which
 * allocates its result: every pick draws.
 */
export function xoshiro128(seed: Int32Array): Random {
  const s = seed
  return {
    uint32() {
      const s0 = s[0]!
      const s1 = s[1]!
      const s2 = s[2]!
      const s3 = s[3]!
      const scrambled = Math.imul(s1, 5)
      const x2 = s2 ^ s0
      const x3 = s3 ^ s1
      s[0] = s0 ^ x3
      s[1] = s1 ^ x2
      s[2] = x2 ^ (s1 << 9)
      s[3] = (x3 << 11) | (x3 >>> 21)
      return Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0
    },
  }
}

export const systemRandom: Random = xoshiro128(new Int32Array(new Uint8Array(randomBytes(16)).buffer))

/**
 * A uniform integer in [0, bound) from one draw. The product of two integers below 2³² and 2²¹ is exact in a double;
 * the bias is below bound / 2³².
 */
export function below(random: Random, bound: number): number {
  return Math.floor((random.uint32() * bound) / 0x1_0000_0000)
}

/** A repeatable source (mulberry32, Tommy Ettinger, public domain): for tests, simulations and replay. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    uint32() {
      state = (state + 0x6d2b79f5) >>> 0
      let t = state
      t = Math.imul(t ^ (t >>> 15), t | 1)
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
      return (t ^ (t >>> 14)) >>> 0
    },
  }
}

const drawn = Buffer.alloc(16 * 256)
let used = drawn.length
const digits = Buffer.from('0123456789abcdef')
const id = Buffer.from('00000000-0000-4000-8000-000000000000')
/** Where the digits of each byte stand. */
const places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]

/**
 * A name that no other process has: a request, a boot. A UUID of random bits (RFC 9562 section 5.4), as `randomUUID` of
 * `node:crypto` makes it; but that puts twenty texts together, at four times the price once it is written somewhere.
 */
export function uniqueId(): string {
  if (used === drawn.length) {
    randomFillSync(drawn)
    used = 0
  }
  for (let i = 0; i < 16; i++, used++) {
    let byte = drawn[used]!
    if (i === 6) byte = (byte & 0x0f) | 0x40
    if (i === 8) byte = (byte & 0x3f) | 0x80
    const at = places[i]!
    id[at] = digits[byte >> 4]!
    id[at + 1] = digits[byte & 0x0f]!
  }
  return id.toString('latin1')
}

/** `bytes` unpredictable bytes as hex: the random part of a log's origin. */
export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')
