// How long a response is, and what its connection is good for after it, by its head (RFC 9112 sections 6.3 and 9.3).
import { ParseFault, type ResponseHead } from './response-head.ts'

export interface Framing {
  /** What tells the end of the body; `done`: there is none. */
  readonly body: 'done' | 'length' | 'chunk-size' | 'to-close'
  /** The length that the head tells; 0 without. */
  readonly length: number
  /** Whether the connection may carry another request. */
  readonly persists: boolean
  /** The value of `Keep-Alive`. */
  readonly keepAlive: string | undefined
}

/** What can be read in two ways is refused, by {@link ParseFault}: two lengths, two codings, or a length beside a coding. */
export function framingOf({ headers, status, minor }: ResponseHead, isHead: boolean): Framing {
  let length: string | undefined
  let coding: string | undefined
  let keepAlive: string | undefined
  let persists = minor === 1
  let closes = false
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    switch (name.length) {
      case 10: {
        const lower = name.toLowerCase()
        if (lower === 'keep-alive') keepAlive = value
        if (lower !== 'connection' || (minor === 1 && value === 'keep-alive')) break
        const tokens = tokensOf(value)
        persists ||= tokens.includes('keep-alive')
        // Nothing beside it takes that back.
        closes ||= tokens.includes('close')
        break
      }
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== undefined || !/^\d{1,15}$/.test(value)) throw new ParseFault('a Content-Length that is none')
        length = value
        break
      case 16:
        // Of old: who sends it means to close.
        if (name.toLowerCase() === 'proxy-connection') closes ||= tokensOf(value).includes('close')
        break
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break
        if (coding !== undefined) throw new ParseFault('two transfer codings')
        coding = value
    }
  }
  if (coding !== undefined && (length !== undefined || minor === 0))
    throw new ParseFault('a transfer coding out of place')
  const left = length === undefined ? 0 : Number(length)
  const bodiless = status === 204 || status === 304
  // Where a body is announced that cannot be, it may come all the same, and would be taken for the next response.
  const announced = isHead || status === 204 ? coding !== undefined || left > 0 : status === 304 && coding !== undefined
  const body = isHead || bodiless ? 'done' : bodyBy(coding, length, left)
  return { body, length: left, persists: persists && !closes && !announced && body !== 'to-close', keepAlive }
}

/** What frames a message cannot stand behind its body (RFC 9110 section 6.5.1). Throws {@link ParseFault}. */
export function checkTrailers(fields: readonly string[]): void {
  for (let i = 0; i < fields.length; i += 2)
    if (/^(?:content-length|transfer-encoding)$/i.test(fields[i]!)) throw new ParseFault(`${fields[i]} in a trailer`)
}

function bodyBy(coding: string | undefined, length: string | undefined, left: number): Framing['body'] {
  // What may go on with which codings is for others to say: here the last one counts, for the end of the body.
  if (coding !== undefined && (coding === 'chunked' || /(?:^|,)[ \t]*chunked$/i.test(coding))) return 'chunk-size'
  if (length === undefined) return 'to-close'
  return left === 0 ? 'done' : 'length'
}

const tokensOf = (value: string): string[] => value.toLowerCase().split(/[\s,]+/)
