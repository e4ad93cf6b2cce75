// Reads the body of a post of lines: what of it is lines of this log, at these places.
import { canonical, type Json } from '../canonical.ts'
import { type LoggedEvent, member } from '../log/envelope.ts'
import { type Hash, leafHashIn } from '../log/merkle.ts'
import { maxLineBytes } from '../sink.ts'
import { malformed } from './answer.ts'

export interface PostedLine {
  readonly index: number
  readonly leaf: Hash
  /** Where it begins, and where the next one does. */
  readonly start: number
  readonly end: number
  /** What it says; undefined if it cannot be a line of this log. */
  readonly event: LoggedEvent | undefined
  readonly fault: string | undefined
}

export interface PostedLines {
  readonly bytes: Buffer
  readonly lines: readonly PostedLine[]
}

const lf = 0x0a
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Refuses a body that is not made of whole lines. */
export function readPosted(body: Buffer, origin: string, first: number): PostedLines {
  if (body.length === 0 || body[body.length - 1] !== lf) throw malformed('expected lines, a line end after each')
  // A byte ahead of the first line, for leafHashIn.
  const bytes = Buffer.concat([Buffer.alloc(1), body])
  const lines: PostedLine[] = []
  for (let start = 1; start < bytes.length; ) {
    const end = bytes.indexOf(lf, start)
    const index = first + lines.length
    if (end - start > maxLineBytes) throw malformed(`line ${index} is longer than ${maxLineBytes} bytes`)
    const read = readLine(bytes.subarray(start, end), origin, index)
    const [event, fault] = typeof read === 'string' ? [undefined, read] : [read, undefined]
    lines.push({ index, leaf: leafHashIn(bytes, start, end), start, end: end + 1, event, fault })
    start = end + 1
  }
  return { bytes, lines }
}

/** The event, or why this can be no line at this place. */
function readLine(bytes: Buffer, origin: string, index: number): LoggedEvent | string {
  let event: LoggedEvent
  try {
    const text = utf8.decode(bytes)
    event = JSON.parse(text) as LoggedEvent
    if (typeof event !== 'object' || event === null || Array.isArray(event)) return 'it is not a JSON object'
    if (canonical(event as Json) !== text) return 'it is not canonical JSON'
  } catch {
    return 'it is not JSON'
  }
  if (member(event, 'audit', 'index') !== index) return `its audit.index is not ${index}`
  return member(event, 'audit', 'origin') === origin ? event : 'its audit.origin is that of another log'
}
