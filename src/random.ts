// Randomness: the only place that draws.
import { randomBytes, randomUUID } from 'node:crypto'

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

/** A name that no other process has: a request, a boot. */
export const uniqueId = (): string => randomUUID()

/** `bytes` unpredictable bytes as hex: the random part of a log's origin. */
export const randomHex = (bytes: number): string => randomBytes(bytes).toString('hex')
