// The head of a response in bytes: its status line and its fields, read by the letter (RFC 9112), and refused otherwise.
import { maxHeaderSize } from 'node:http'
import { inOnePiece } from '../one-piece.ts'

/** A response that is not well-formed. Its code is one of those that `failure.ts` knows for that. */
export class ParseFault extends Error {
  readonly code = 'HPE_INVALID'
}

export interface ResponseHead {
  readonly status: number
  readonly reason: string
  /** Names and values in turn, as they came. */
  readonly headers: string[]
  readonly minor: 0 | 1
  /** Where in the bytes it ends. */
  readonly end: number
}

/**
 * The most bytes of a head, beside what its names and values may take: those of the shortest fields take less, and spaces before
 * values count for neither.
 */
const mostBytes = 8 * maxHeaderSize

const tab = 0x09
const lf = 0x0a
const cr = 0x0d
const space = 0x20
const colon = 0x3a
const zero = 0x30

const tokenChar = 1
const valueChar = 2
/** What each byte may be part of. */
const kinds = new Uint8Array(256)
for (let byte = 0; byte < 256; byte++) {
  const isToken = /[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(byte)) && byte < 128
  const isValue = byte === tab || (byte >= space && byte !== 0x7f)
  kinds[byte] = (isToken ? tokenChar : 0) | (isValue ? valueChar : 0)
}

const protocol = Buffer.from('HTTP/1.')

/** Where names and values begin and end, of the fields that were read last: written and read in one turn. */
const marks: number[] = []
let marksEnd = 0

/**
 * The names that stood at each place last, of so many places at most. Responses have mostly the same ones, in the same order; and
 * one that is the same text as before, in one piece, is known at once to whoever looks it up.
 */
const lastNames: string[] = []
const mostPlaces = 64
const names = new Map<string, string>()
const mostNames = 1024
const mostName = 64

/** Undefined while it is not complete. Throws {@link ParseFault} as soon as it can be none. */
export function readHead(bytes: Buffer): ResponseHead | undefined {
  const { length } = bytes
  for (let i = 0; i < 7; i++) {
    if (i === length) return undefined
    if (bytes[i] !== protocol[i]) throw new ParseFault('no response of HTTP/1')
  }
  // What follows up to the reason has a fixed length.
  if (length < 14) return undefined
  const minor = bytes[7]! - zero
  if ((minor !== 0 && minor !== 1) || bytes[8] !== space) throw new ParseFault('a version other than 1.0 and 1.1')
  const status = statusIn(bytes)
  let at = 12
  if (bytes[at] === space) {
    at++
    while (at < length && (kinds[bytes[at]!]! & valueChar) !== 0) at++
    if (at > maxHeaderSize) throw new ParseFault('a reason that is too long')
  }
  const reasonEnd = at
  if (at + 1 >= length) return undefined
  if (bytes[at] !== cr || bytes[at + 1] !== lf) throw new ParseFault('a status line that does not end')
  const end = markFields(bytes, at + 2)
  if (end === undefined) return undefined
  const text = bytes.toString('latin1', 0, end)
  return { status, reason: text.slice(13, reasonEnd), headers: marked(text, 0), minor, end }
}

function statusIn(bytes: Buffer): number {
  const a = bytes[9]! - zero
  const b = bytes[10]! - zero
  const c = bytes[11]! - zero
  if (!(a >= 1 && a <= 9 && b >= 0 && b <= 9 && c >= 0 && c <= 9)) throw new ParseFault('a status that is none')
  return a * 100 + b * 10 + c
}

export interface Trailers {
  readonly fields: string[]
  readonly end: number
}

/** The fields behind a chunked body, with the empty line that ends them. Undefined and throws as with a head. */
export function readTrailers(bytes: Buffer, from: number): Trailers | undefined {
  const end = markFields(bytes, from)
  return end === undefined ? undefined : { fields: marked(bytes.toString('latin1', from, end), from), end }
}

/** Reads fields up to the empty line behind them, and writes their marks; returns where they end. */
function markFields(bytes: Buffer, from: number): number | undefined {
  const { length } = bytes
  let at = from
  let size = 0
  marksEnd = 0
  while (at + 1 < length) {
    if (bytes[at] === cr) {
      if (bytes[at + 1] !== lf) throw new ParseFault('a line that does not end')
      return at + 2
    }
    const name = at
    while (at < length && (kinds[bytes[at]!]! & tokenChar) !== 0) at++
    const nameEnd = at
    size += at - name
    if (size >= maxHeaderSize) throw tooLarge()
    if (at === length) return undefined
    // No space before the colon, and no line that is folded (sections 5.1 and 5.2).
    if (bytes[at] !== colon || at === name) throw new ParseFault('a field without a name')
    at++
    while (at < length && (bytes[at] === space || bytes[at] === tab)) at++
    if (at - from > mostBytes) throw tooLarge()
    const value = at
    while (at < length && (kinds[bytes[at]!]! & valueChar) !== 0) at++
    size += at - value
    if (size >= maxHeaderSize) throw tooLarge()
    if (at === length) return undefined
    if (bytes[at] !== cr) throw new ParseFault('a control character in a field')
    if (at + 1 === length) return undefined
    if (bytes[at + 1] !== lf) throw new ParseFault('a line that does not end')
    let valueEnd = at
    while (valueEnd > value && (bytes[valueEnd - 1] === space || bytes[valueEnd - 1] === tab)) valueEnd--
    marks[marksEnd++] = name
    marks[marksEnd++] = nameEnd
    marks[marksEnd++] = value
    marks[marksEnd++] = valueEnd
    at += 2
  }
  return undefined
}

const tooLarge = (): ParseFault => new ParseFault('a head that is too large')

/** The marked fields, of a text that begins at this place of the bytes. */
function marked(text: string, from: number): string[] {
  const fields: string[] = []
  for (let i = 0; i < marksEnd; i += 4) {
    fields.push(nameAt(text, i / 4, marks[i]! - from, marks[i + 1]! - from))
    fields.push(text.slice(marks[i + 2]! - from, marks[i + 3]! - from))
  }
  return fields
}

function nameAt(text: string, place: number, from: number, to: number): string {
  const last = lastNames[place]
  if (last !== undefined && last.length === to - from && text.startsWith(last, from)) return last
  const name = known(text.slice(from, to))
  if (place < mostPlaces) lastNames[place] = name
  return name
}

function known(name: string): string {
  if (name.length > mostName) return name
  const found = names.get(name)
  if (found !== undefined) return found
  if (names.size >= mostNames) names.clear()
  const made = inOnePiece(name)
  names.set(made, made)
  return made
}
