// Headers: one pass over the raw list, out of which comes what goes on.
import { authorityOf, type Backend } from '../backend.ts'
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

/** Said anew by us, as all `X-Forwarded-*` are: what a client says of itself here would be believed. `expect` is answered by us. */
const replaced = ['host', 'expect', 'trailer', 'forwarded', 'x-real-ip', 'x-request-id', 'x-mirrored']

type Kind =
  | 'end-to-end'
  | 'hop-by-hop'
  | 'replaced'
  | 'via'
  | 'cookie'
  | 'content-length'
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
  if (hopByHop.includes(lower)) return 'hop-by-hop'
  // Where headers become variables (CGI, WSGI) an underscore is a dash: `X_Forwarded_For` would pass for ours.
  const dashed = lower.replaceAll('_', '-')
  if (replaced.includes(dashed) || dashed.startsWith('x-forwarded-')) return 'replaced'
  return lower === 'via' || lower === 'cookie' || lower === 'content-length' ? lower : 'end-to-end'
}

function responseKind(lower: string): Kind {
  if (lower === 'transfer-encoding') return lower
  if (hopByHop.includes(lower)) return 'hop-by-hop'
  if (lower === 'x-request-id') return 'replaced'
  return lower === 'trailer' || lower === 'content-length' ? lower : 'end-to-end'
}

export interface RequestHeaderFacts {
  readonly host: string
  readonly backend: Backend
  readonly keepHost: boolean
  /** The name of a cookie that is ours: it does not go on. */
  readonly ownCookie: string | undefined
  /** Whether the request's length is known: then its Content-Length goes on, otherwise the body is chunked. */
  readonly hasLength: boolean
  readonly peerAddress: string
  readonly encrypted: boolean
  /** Port that the client connected to. */
  readonly localPort: number | undefined
  readonly requestId: string
  /** Our name in `Via`. */
  readonly via: string
  readonly httpVersion: string
}

/** The head of the request as the backend gets it. */
export function requestHeaders(raw: readonly string[], facts: RequestHeaderFacts): string[] {
  const nominated = nominatedBy(raw)
  const out = ['host', facts.keepHost ? facts.host : authorityOf(facts.backend)]
  let via = ''
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const { lower, request: kind } = fieldOf(raw[i]!)
    if (kind === 'hop-by-hop' || kind === 'replaced' || nominated?.has(lower) === true) continue
    if (kind === 'cookie' && facts.ownCookie !== undefined) {
      const value = withoutCookie(raw[i + 1]!, facts.ownCookie)
      if (value !== '') out.push(raw[i]!, value)
    } else if (kind === 'via') via += `${raw[i + 1]}, `
    else if (kind !== 'content-length' || facts.hasLength) out.push(raw[i]!, raw[i + 1]!)
  }
  out.push('via', `${via}${facts.httpVersion} ${facts.via}`)
  out.push('x-forwarded-proto', facts.encrypted ? 'https' : 'http')
  // A client of a unix socket has no address, and one of HTTP/1.0 may name no host.
  if (facts.peerAddress !== '') out.push('x-forwarded-for', facts.peerAddress)
  if (facts.host !== '') out.push('x-forwarded-host', facts.host)
  if (facts.localPort !== undefined) out.push('x-forwarded-port', String(facts.localPort))
  out.push('x-request-id', facts.requestId)
  return out
}

export interface ResponseHead {
  /** Names and values in turn, as the client gets them. */
  readonly headers: string[]
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

/** Names and values in turn, without the fields of this name. */
export function without(raw: readonly string[], name: string): string[] {
  return raw.filter((_, i) => raw[i - (i % 2)]!.toLowerCase() !== name)
}

/** The first value of a field. */
export function valueIn(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) if (fieldOf(raw[i]!).lower === name) return raw[i + 1]
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
