// The hash of text, and the hash of a key together with a backend.

/**
 * MurmurHash3 x86_32 (Austin Appleby, 2011, public domain) of the UTF-8 form of `text`, without making that form. A lone surrogate counts as U+FFFD, as in every encoder of UTF-8. The 32 bits come as a signed integer: V8 keeps
 * those without allocating.
 */
export function murmur3(text: string, seed: number): number {
  let hash = seed
  let block = 0
  let length = 0
  for (let i = 0; i < text.length; i++) {
    let bytes = text.charCodeAt(i)
    let count = 1
    if (bytes >= 0x80) {
      const code = codePointAt(text, i)
      if (code >= 0x1_0000) i++
      bytes = utf8(code)
      count = code < 0x800 ? 2 : code < 0x1_0000 ? 3 : 4
    }
    for (; count > 0; count--) {
      block |= (bytes & 0xff) << ((length & 3) << 3)
      bytes >>>= 8
      length++
      if ((length & 3) === 0) {
        hash ^= scrambled(block)
        hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
        block = 0
      }
    }
  }
  return finished(hash ^ scrambled(block) ^ length)
}

/**
 * What a key's hash is worth on a backend, from the two hashes of the backend's id: uniform in [0, 2³²). For a backend every
 * value comes from exactly one key's hash. Two hashes of the id, for at thousands of backends two may share one of them.
 */
export const mixed = (hash: number, first: number, second: number): number =>
  finished(finished(hash ^ first) + second) >>> 0

/** The last step of MurmurHash3: a permutation of the 32-bit integers in which each bit depends on every other. */
function finished(value: number): number {
  let hash = value | 0
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function scrambled(block: number): number {
  const product = Math.imul(block, 0xcc9e2d51)
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593)
}

function codePointAt(text: string, i: number): number {
  const code = text.codePointAt(i)!
  return code >= 0xd800 && code <= 0xdfff ? 0xfffd : code
}

/** The bytes of a code point beyond ASCII (RFC 3629 section 3), the first one lowest. */
function utf8(code: number): number {
  const last = 0x80 | (code & 0x3f)
  if (code < 0x800) return 0xc0 | (code >> 6) | (last << 8)
  const third = 0x80 | ((code >> 6) & 0x3f)
  if (code < 0x1_0000) return 0xe0 | (code >> 12) | (third << 8) | (last << 16)
  return 0xf0 | (code >> 18) | ((0x80 | ((code >> 12) & 0x3f)) << 8) | (third << 16) | (last << 24)
}
