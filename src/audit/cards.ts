// Payment card numbers: found in text by length, issuer and check digit, and told by their last four digits.

/** Without this there is none: a digit, and twelve characters behind it that numbers are written with. */
const maybe = /\d[\d %+\-bBdD]{12,}/

/**
 * The text with `[card*1234]` in the place of each number of a payment card: 13 to 19 digits, with or without single spaces
 * or dashes between them, of an issuer's range and with the right check digit (ISO/IEC 7812-1). Digits and separators may be
 * escaped as in a URL. Left alone is what is part of a longer number, of a word of 24 hexadecimal digits or more, of a UUID or
 * of a `traceparent`. Linear in the length of the text; text without such a number is returned as it is.
 */
export const withoutCards = (text: string): string => (maybe.test(text) ? masked(text) : text)

function masked(text: string): string {
  let out = ''
  let from = 0
  let at = 0
  while (at < text.length) {
    const chain = new Chain(text, at)
    at = chain.end
    for (let i = 0; i < chain.length; i++) {
      // Digits behind a percent sign are an escape, rather than the beginning of a number.
      if (text[chain.starts[i]! - 1] === '%' && (chain.cardAt(i + 2) ?? chain.cardAt(i + 4)) !== undefined) continue
      const last = chain.cardAt(i)
      if (last === undefined) continue
      out += `${text.slice(from, chain.starts[i])}[card*${chain.digits.slice(last - 3, last + 1).join('')}]`
      from = chain.ends[last]!
      i = last
    }
  }
  return from === 0 ? text : out + text.slice(from)
}

/** Digits that follow each other with at most one separator in between. */
class Chain {
  readonly digits: number[] = []
  /** Where each digit stands. */
  readonly starts: number[] = []
  readonly ends: number[] = []
  /** Where the text goes on behind it. */
  readonly end: number
  readonly #text: string

  constructor(text: string, from: number) {
    this.#text = text
    let at = from
    let token = 0
    let separated = true
    while (at < text.length) {
      token = tokenAt(text, at)
      const what = token % 16
      if (what === isSeparator && !separated) separated = true
      else if (what > 9) break
      else {
        this.digits.push(what)
        this.starts.push(at)
        this.ends.push(at + (token >> 4))
        separated = false
      }
      at += token >> 4
    }
    this.end = this.ends.at(-1) ?? at + (token >> 4)
  }

  get length(): number {
    return this.digits.length
  }

  /** The last digit of a card number that begins with this one; of the longest, if there are several. */
  cardAt(first: number): number | undefined {
    const { digits, starts, ends } = this
    const lengths = lengthsOf(digits, first)
    if (lengths === 0) return undefined
    if (first > 0 && starts[first] === ends[first - 1] && !followsEscape(this.#text, starts[first]!)) return undefined
    for (let length = most; length >= least; length--) {
      if ((lengths & (1 << length)) === 0) continue
      const last = first + length - 1
      const ended = last === digits.length - 1 || (last < digits.length && starts[last + 1] !== ends[last])
      if (ended && hasCheckDigit(digits, first, last) && this.#stands(first, last)) return last
    }
    return undefined
  }

  /** Whether these digits are a number of their own, and no part of a hash or an id. */
  #stands(first: number, last: number): boolean {
    const text = this.#text
    const [start, end] = [this.starts[first]!, this.ends[last]!]
    const word = around(text, start, end, /[0-9A-Za-z]/)
    if (word.to - word.from >= leastHash && /^[0-9A-Fa-f]+$/.test(text.slice(word.from, word.to))) return false
    const { from, to } = around(text, start, end, /[0-9A-Za-z-]/)
    return !identifiers.test(text.slice(from, to))
  }
}

const least = 13
const most = 19
const all = [13, 14, 15, 16, 17, 18, 19]
const long = [16, 17, 18, 19]

/** Beginnings of numbers by their first four digits, from and to, and how long such numbers are. */
const ranges: readonly (readonly [from: number, to: number, lengths: readonly number[]])[] = [
  // Mir, and Mastercard.
  [2200, 2204, long],
  [2221, 2720, [16]],
  // Diners Club, and American Express.
  [3000, 3059, all],
  [3095, 3095, all],
  [3400, 3499, [15]],
  [3600, 3699, all],
  [3700, 3799, [15]],
  [3800, 3999, all],
  // JCB.
  [3528, 3589, long],
  // Visa.
  [4000, 4999, [13, 16, 18, 19]],
  // Maestro and its like, and Mastercard.
  [5000, 5099, all],
  [5100, 5599, [16]],
  [5600, 5899, all],
  [6300, 6399, all],
  [6700, 6799, all],
  // Discover, UnionPay, RuPay and others.
  [6000, 6299, long],
  [6400, 6699, long],
  [6800, 6999, long],
  [8100, 8299, long],
  // Troy.
  [9792, 9792, [16]],
]

/** Lengths as bits, by the first four digits. */
const table = new Int32Array(10_000)
for (const [from, to, lengths] of ranges)
  table.fill(
    lengths.reduce((bits, length) => bits | (1 << length), 0),
    from,
    to + 1,
  )

const lengthsOf = (digits: readonly number[], first: number): number =>
  first + least > digits.length
    ? 0
    : table[digits[first]! * 1000 + digits[first + 1]! * 100 + digits[first + 2]! * 10 + digits[first + 3]!]!

/** By the formula of Luhn (ISO/IEC 7812-1 annex B). */
function hasCheckDigit(digits: readonly number[], first: number, last: number): boolean {
  let sum = 0
  for (let i = last, twice = false; i >= first; i--, twice = !twice) {
    const counted = twice ? digits[i]! * 2 : digits[i]!
    sum += counted > 9 ? counted - 9 : counted
  }
  return sum % 10 === 0
}

const isSeparator = 10
const isOther = 11
const ofNumber = /%(?:25)*(?:3(\d)|2[0bd])/iy

/** What stands here, as itself or as its escape: a digit, or one of the two above; and sixteen times its length in characters. */
function tokenAt(text: string, at: number): number {
  const code = text.charCodeAt(at)
  if (code >= 48 && code <= 57) return 16 + code - 48
  if (code === 32 || code === 43 || code === 45) return 16 + isSeparator
  if (code !== 37) return 16 + isOther
  ofNumber.lastIndex = at
  const found = ofNumber.exec(text)
  if (found === null) return 16 + isOther
  return found[0].length * 16 + (found[1] === undefined ? isSeparator : Number(found[1]))
}

/** Whether the two characters before are an escape that is of two digits, `%40`, and not the beginning of a number. */
function followsEscape(text: string, at: number): boolean {
  let from = at - 2
  while (text.startsWith('25', from - 2)) from -= 2
  return from > 0 && text[from - 1] === '%'
}

/** As long as the ids of MongoDB, and longer than a card number with a short word before or behind it. */
const leastHash = 24

/** The longest of the {@link identifiers}, and more: what reaches farther is none of them. */
const mostWord = 64

const identifiers =
  /^(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})$/i

/** How far characters of a kind reach on both sides. An escape before them is none of them. */
function around(text: string, start: number, end: number, kind: RegExp): { from: number; to: number } {
  let from = start
  while (from > 0 && start - from < mostWord && kind.test(text[from - 1]!)) from--
  if (text[from - 1] === '%') {
    while (from + 2 <= start && text.startsWith('25', from)) from += 2
    from = Math.min(from + 2, start)
  }
  let to = end
  while (to < text.length && to - end < mostWord && kind.test(text[to]!)) to++
  return { from, to }
}
