// Headers: one pass over the raw list, out of which comes what goes on.
import { withoutCookie } from './binding.ts'

/**
 * Fields that are for one connection only (RFC 9110 section 7.6.1), with those that older implementations send. Framing is
 * rebuilt, never copied. Those that a message's own `Connection` names are added to these.
 */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]

/** Said anew by us, whoever said them: what a client says of itself here would be believed. `expect` is answered by us. */
const replaced = [
  'host',
  'expect',
  'trailer',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-request-id',
  'x-mirrored',
]

/** What is done with a field: those with a name of their own are looked at one by one. `vouched` goes on from who is believed. */
type Kind =
  | 'end-to-end'
  | 'hop-by-hop'
  | 'replaced'
  | 'vouched'
  | 'trace'
  | 'te'
  | 'via'
  | 'cookie'
  | 'content-length'
  | 'content-encoding'
  | 'transfer-encoding'
  | 'trailer'

interface Field {
  readonly lower: string
  readonly request: Kind
  readonly response: Kind
}

const known = new Map<string, Field>()
/** How many spellings of names are remembered: a few hundred are used. A client that invents them makes all be learnt anew. */
const mostKnown = 1024

/** What is to be done with a field of this name, in whatever case. */
function fieldOf(name: string): Field {
  const found = known.get(name)
  if (found !== undefined) return found
  const lower = name.toLowerCase()
  const field = { lower, request: requestKind(lower), response: responseKind(lower) }
  if (known.size >= mostKnown) known.clear()
  known.set(name, field)
  return field
}

function requestKind(lower: string): Kind {
  if (lower === 'te') return lower
  if (hopByHop.includes(lower)) return 'hop-by-hop'
  // Where headers become variables (CGI, WSGI) an underscore is a dash: `X_Forwarded_For` would pass for ours.
  const dashed = lower.replaceAll('_', '-')
  if (replaced.includes(dashed)) return 'replaced'
  if (dashed === 'x-real-ip' || dashed.startsWith('x-forwarded-')) return lower === dashed ? 'vouched' : 'replaced'
  if (lower === 'traceparent' || lower === 'tracestate') return 'trace'
  return lower === 'via' || lower === 'cookie' || lower === 'content-length' || lower === 'content-encoding'
    ? lower
    : 'end-to-end'
}

function responseKind(lower: string): Kind {
  if (lower === 'transfer-encoding') return lower
  if (hopByHop.includes(lower)) return 'hop-by-hop'
  if (lower === 'x-request-id') return 'replaced'
  return lower === 'trailer' || lower === 'content-length' ? lower : 'end-to-end'
}

export interface RequestHeaderFacts {
  /** The `Host` that goes on. */
  readonly host: string
  /** The name of a cookie that is ours: it does not go on. */
  readonly ownCookie: string | undefined
  /** Whether the request's length is known: then its Content-Length goes on, otherwise the body is chunked. */
  readonly hasLength: boolean
  /** Whether the body was read by somebody before us, who has decoded it. */
  readonly decoded: boolean
  /** Whether the peer is believed: what it says besides where the request comes from goes on too. */
  readonly vouches: boolean
  /** Whether the trace is said anew. */
  readonly traced: boolean
}

export interface StrippedHead {
  /** Names and values in turn, `Host` first. */
  readonly headers: string[]
  /** The members of `Via` so far, each with a comma behind it. */
  readonly via: string
}

/** What of a request's head goes on, without what we add to it. */
export function strippedHead(raw: readonly string[], facts: RequestHeaderFacts): StrippedHead {
  const nominated = nominatedBy(raw)
  const headers = ['host', facts.host]
  let via = ''
  let trailers = false
  let traceparent = false
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const { lower, request: kind } = fieldOf(raw[i]!)
    if (kind === 'end-to-end') {
      if (nominated?.has(lower) !== true) headers.push(raw[i]!, raw[i + 1]!)
      continue
    }
    if (kind === 'te') {
      trailers ||= asksForTrailers(raw[i + 1]!)
      continue
    }
    if (kind === 'hop-by-hop' || kind === 'replaced' || nominated?.has(lower) === true) continue
    if (kind === 'cookie' && facts.ownCookie !== undefined) {
      const value = withoutCookie(raw[i + 1]!, facts.ownCookie)
      if (value !== '') headers.push(raw[i]!, value)
    } else if (lower === 'traceparent') {
      // One of them, the one that the record tells of.
      if (!facts.traced && !traceparent) headers.push(raw[i]!, raw[i + 1]!)
      traceparent = true
    } else if (kind === 'via') via += `${raw[i + 1]}, `
    else if (goesOn(kind, facts)) headers.push(raw[i]!, raw[i + 1]!)
  }
  // The one member that means something to who is behind a proxy: gRPC asks for it.
  if (trailers) headers.push('te', 'trailers')
  return { headers, via }
}

function goesOn(kind: Kind, facts: RequestHeaderFacts): boolean {
  if (kind === 'content-length') return facts.hasLength
  if (kind === 'content-encoding') return !facts.decoded
  if (kind === 'vouched') return facts.vouches
  return kind !== 'trace' || !facts.traced
}

/** Whether `TE` holds `trailers` (RFC 9110 section 10.1.4). */
const asksForTrailers = (value: string): boolean =>
  value.split(',').some((part) => part.trim().toLowerCase() === 'trailers')

export interface ResponseHead {
  /** Names and values in turn, as the client gets them. Rules put others in their place. */
  headers: string[]
  /** The length that the backend gave. */
  readonly length: number | undefined
}

/**
 * The head of a response as the client gets it. `Trailer` stays only where trailers can follow, in a chunked body: Node does
 * not send it elsewhere. `chunkable` tells whether the body may be chunked at all. Throws for a transfer coding that cannot
 * be passed on.
 */
export function responseHead(raw: readonly string[], requestId: string, chunkable: boolean): ResponseHead {
  const nominated = nominatedBy(raw)
  const headers: string[] = []
  let length: number | undefined
  let trailer = false
  let coded = false
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const { lower, response: kind } = fieldOf(raw[i]!)
    if (kind === 'hop-by-hop' || kind === 'replaced' || nominated?.has(lower) === true) continue
    if (kind === 'transfer-encoding') {
      // Any other coding would be taken off with the field, and the coded bytes passed for the content.
      if (coded || raw[i + 1]!.toLowerCase() !== 'chunked') throw new Error('a transfer coding other than chunked')
      coded = true
      continue
    }
    if (kind === 'content-length') length = Number(raw[i + 1])
    if (kind === 'trailer') trailer = true
    headers.push(raw[i]!, raw[i + 1]!)
  }
  headers.push('x-request-id', requestId)
  const untrailed = trailer && (length !== undefined || !chunkable)
  return { headers: untrailed ? without(headers, 'trailer') : headers, length }
}

/** The trailers that may go on: none that say something of framing, of routing or of this connection (RFC 9110 section 6.5.1). */
export function trailersOf(raw: readonly string[]): [string, string][] {
  const out: [string, string][] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const { request, response } = fieldOf(raw[i]!)
    if (request === 'end-to-end' && response === 'end-to-end') out.push([raw[i]!, raw[i + 1]!])
  }
  return out
}

/** The head of an interim response as it goes on: without what is for one connection only. */
export function interimHead(raw: readonly string[]): string[] {
  const nominated = nominatedBy(raw)
  return raw.filter((_, i) => {
    const { lower, response } = fieldOf(raw[i - (i % 2)]!)
    return response === 'end-to-end' && nominated?.has(lower) !== true
  })
}

/** What messages are framed with, and what is for one connection only: not for anybody to set. */
export const isFraming = (lower: string): boolean =>
  hopByHop.includes(lower) || lower === 'content-length' || lower === 'trailer' || lower === 'expect'

/** Names and values in turn, without the fields of this name. */
export function without(raw: readonly string[], name: string): string[] {
  return raw.filter((_, i) => raw[i - (i % 2)]!.toLowerCase() !== name)
}

/** The first value of a field. */
export function valueIn(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2)
    if (raw[i]!.length === name.length && fieldOf(raw[i]!).lower === name) return raw[i + 1]
  return undefined
}

// Lists may be split over several lines, and have empty members (RFC 9110 section 5.6.1). Framing and the host are never
// given up at a client's word.
function nominatedBy(raw: readonly string[]): Set<string> | undefined {
  let names: Set<string> | undefined
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    if (name.length !== 10 || fieldOf(name).lower !== 'connection') continue
    const value = raw[i + 1]!
    if (value === 'keep-alive' || value === 'close') continue
    for (const part of value.split(',')) {
      const nominated = part.trim().toLowerCase()
      if (nominated === '' || nominated === 'keep-alive' || nominated === 'close') continue
      if (nominated === 'content-length' || nominated === 'host') continue
      names ??= new Set()
      names.add(nominated)
    }
  }
  return names
}
