// The parts of lines that are written by hand: each is what `canonical` makes of the same value.
import { canonical, type Json } from '../canonical.ts'
import { inOnePiece } from '../one-piece.ts'

export type Some = Json | undefined

// What JSON.stringify only puts quotes around.
const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/

/** A text as JSON. */
export const quoted = (text: string): string =>
  typeof text === 'string' && plain.test(text) ? `"${text}"` : canonical(text)

/** 0 to 999, as they are, and with three digits. */
const short = Array.from({ length: 1000 }, (_, n) => `${n}`)
const three = short.map((text) => text.padStart(3, '0'))

let thousands = 0
let thousandsText = '0'

/**
 * A number as JSON. What has no such form throws, as it does in `canonical`. Counts and times are made of two texts that
 * exist already: V8 would make a new one of each.
 */
export function number(value: number): string {
  if (value < 1_000_000 && value >= 0 && Number.isInteger(value)) {
    if (value < 1000) return short[value]!
    return short[(value / 1000) | 0]! + three[value % 1000]!
  }
  if (!(Number.isSafeInteger(value) && value > 0)) return canonical(value)
  const rest = Math.floor(value / 1000)
  if (rest !== thousands) {
    thousands = rest
    thousandsText = `${rest}`
  }
  return thousandsText + three[value % 1000]!
}

/** A member that others precede; nothing where it has no value. */
export const after = (name: string, value: Some): string =>
  value === undefined ? '' : `,"${name}":${typeof value === 'string' ? quoted(value) : canonical(value)}`

/** A member that others follow; nothing where it has no value. */
export const before = (name: string, value: Some): string =>
  value === undefined ? '' : `"${name}":${canonical(value)},`

/** Remembers the last text that was made, by what it was made of. */
export function last<A>(make: (a: A) => string): (a: A) => string {
  let [of, made]: [A | undefined, string] = [undefined, '']
  return (a) => {
    if (a !== of || made === '') {
      made = inOnePiece(make(a))
      of = a
    }
    return made
  }
}

/** The same of what is made of several, which are compared one by one. */
export function lastOf<A, B, C, D>(make: (a: A, b: B, c: C, d: D) => string): (a: A, b: B, c: C, d: D) => string {
  let of: [A, B, C, D] | undefined
  let made = ''
  return (a, b, c, d) => {
    if (of === undefined || a !== of[0] || b !== of[1] || c !== of[2] || d !== of[3]) {
      made = inOnePiece(make(a, b, c, d))
      of = [a, b, c, d]
    }
    return made
  }
}

/** How many texts are remembered of one kind. */
const mostKnown = 4096

/** Remembers what was made of each text, of which there are few. */
export function each<T>(make: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    let found = known.get(text)
    if (found === undefined) {
      found = make(text)
      if (known.size >= mostKnown) known.clear()
      known.set(text, found)
    }
    return found
  }
}

/** The same of texts. */
export const eachText = (make: (text: string) => string): ((text: string) => string) =>
  each((text) => inOnePiece(make(text)))
