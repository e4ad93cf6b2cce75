// Headers: one pass over the raw list, out of which comes what goes on.
import type { Backend } from '../backend.ts'

/**
 * Fields that are for one connection only (RFC 9110 section 7.6.1), with those that older implementations send. `expect` is
 * answered by us, and framing is rebuilt, never copied. Those that a message's own `Connection` names are added to these.
 */
const hopByHop = new Set([
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
])

/** Said anew by us: what a client says of itself here would be believed. */
const replaced = new Set([
  'expect',
  'trailer',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  'x-request-id',
])

export interface RequestHeaderFacts {
  readonly host: string
  readonly backend: Backend
  readonly keepHost: boolean
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
  const proto = facts.encrypted ? 'https' : 'http'
  const out = ['host', facts.keepHost ? facts.host : new URL(facts.backend.url).host]
  let via = ''
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    const lower = name.toLowerCase()
    if (lower === 'host' || hopByHop.has(lower) || replaced.has(lower) || nominated?.has(lower) === true) continue
    if (lower === 'content-length' && !facts.hasLength) continue
    if (lower === 'via') via += `${raw[i + 1]}, `
    else out.push(name, raw[i + 1]!)
  }
  out.push('via', `${via}${facts.httpVersion} ${facts.via}`)
  out.push('x-forwarded-for', facts.peerAddress, 'x-forwarded-proto', proto, 'x-forwarded-host', facts.host)
  if (facts.localPort !== undefined) out.push('x-forwarded-port', String(facts.localPort))
  out.push('x-request-id', facts.requestId)
  return out
}

/** The head of a response as the client gets it. `Trailer` stays where trailers can follow: in a chunked body. */
export function responseHeaders(raw: readonly string[], requestId: string): string[] {
  const nominated = nominatedBy(raw)
  const out: string[] = []
  let hasLength = false
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const lower = raw[i]!.toLowerCase()
    if (lower === 'content-length') hasLength = true
    if (hopByHop.has(lower) || lower === 'x-request-id' || nominated?.has(lower) === true) continue
    out.push(raw[i]!, raw[i + 1]!)
  }
  out.push('x-request-id', requestId)
  return hasLength ? without(out, 'trailer') : out
}

/** Names and values in turn, without the fields of this name. */
export function without(raw: readonly string[], name: string): string[] {
  return raw.filter((_, i) => raw[i - (i % 2)]!.toLowerCase() !== name)
}

/** The first value of a field. */
export function fieldOf(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < raw.length; i += 2) if (raw[i]!.toLowerCase() === name) return raw[i + 1]
  return undefined
}

// Lists may be split over several lines, and have empty members (RFC 9110 section 5.6.1). Framing and the host are never
// given up at a client's word.
function nominatedBy(raw: readonly string[]): Set<string> | undefined {
  let names: Set<string> | undefined
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    if (name.length !== 10 || name.toLowerCase() !== 'connection') continue
    for (const part of raw[i + 1]!.split(',')) {
      const nominated = part.trim().toLowerCase()
      if (nominated === '' || nominated === 'keep-alive' || nominated === 'close') continue
      if (nominated === 'content-length' || nominated === 'host') continue
      names ??= new Set()
      names.add(nominated)
    }
  }
  return names
}
