// Chunks: a line that is too long for a container's log, in parts that fit.
import { canonical } from '../../canonical.ts'

/** The parts are counted with as many digits; a line of 65,535 bytes has far fewer. */
const mostParts = 99_999

/**
 * The line itself if it has no more bytes than that, or else lines of canonical JSON, each of at most so many bytes:
 * `{"chunk":{"of":"<origin>/<index>","part":1,"parts":3,"text":"…"}}`. Their texts in a row are the line, byte for byte.
 */
export function chunked(line: string, of: string, mostBytes: number): readonly string[] {
  if (Buffer.byteLength(line) <= mostBytes) return [line]
  const frame = chunkOf(of, mostParts, mostParts, '')
  const texts = split(line, mostBytes - Buffer.byteLength(frame))
  return texts.map((text, i) => chunkOf(of, i + 1, texts.length, text))
}

const chunkOf = (of: string, part: number, parts: number, text: string): string =>
  canonical({ chunk: { of, part, parts, text } })

/** Pieces that take at most so many bytes as a JSON string, cut between code points. */
function split(line: string, room: number): string[] {
  const pieces: string[] = []
  let from = 0
  let at = 0
  let bytes = 0
  for (const char of line) {
    const size = sizeOf(char)
    if (bytes + size > room && at > from) {
      pieces.push(line.slice(from, at))
      from = at
      bytes = 0
    }
    bytes += size
    at += char.length
  }
  pieces.push(line.slice(from))
  return pieces
}

/** Bytes of a code point within a JSON string: quotes and backslashes get a backslash, control characters become `\u00..`. */
function sizeOf(char: string): number {
  const code = char.codePointAt(0)!
  if (char === '"' || char === '\\') return 2
  if (code < 0x20) return 6
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
}
