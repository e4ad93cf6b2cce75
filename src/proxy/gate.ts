// The gate: refuses what is not well-formed, before anything else looks at it.
import type { RequestResult } from '../outcome.ts'

export interface Refusal {
  readonly result: Extract<RequestResult, 'malformed' | 'expectation-failed' | 'loop'>
  readonly detail: string
}

/** What the rest may rely on. */
export interface Admitted {
  /** Path and query in origin form. */
  readonly target: string
  readonly host: string
  readonly body: 'none' | 'length' | 'chunked'
  /** Of the body; 0 for none, undefined where it is not told beforehand. */
  readonly length: number | undefined
}

export interface RequestHead {
  readonly method: string
  readonly url: string
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  /** Whether a body may follow whose length is not told (HTTP/2). */
  readonly open?: boolean
}

const refuse = (result: Refusal['result'], detail: string): Refusal => ({ result, detail })
const malformed = (detail: string): Refusal => refuse('malformed', detail)

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const controls = /[\x00-\x08\x0a-\x1f\x7f]/
// biome-ignore lint/suspicious/noControlCharactersInRegex: a target holds none of these, nor a fragment (RFC 9112 section 3.2)
const badTarget = /[\x00-\x20#\\\x7f]/

// What a host and port can hold (RFC 3986 section 3.2.2), user information left out.
const badHost = /[^A-Za-z0-9._~%!$&'()*+,;=:[\]-]/

/** Names and values of the 1,000 headers that Node's parser hands over at most. */
const mostRaw = 2000

/** `via` is our own name in `Via`: a request that carries it has been here before (RFC 9110 section 7.6.3). */
export function inspect(head: RequestHead, via: string): Refusal | Admitted {
  const { rawHeaders: raw } = head
  let host: string | undefined
  let length: string | undefined
  let coding: string | undefined
  // What stands behind this many Node has left out, without a word: the body's length may be among it.
  if (raw.length >= mostRaw) return malformed('more headers than can be read')
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    if (controls.test(value)) return malformed('a control character in a header')
    switch (name.length) {
      case 3:
        if (name.toLowerCase() === 'via' && hasToken(value, via)) return refuse('loop', via)
        break
      case 4:
        if (name.toLowerCase() !== 'host') break
        if (host !== undefined) return malformed('more than one Host')
        if (badHost.test(value)) return malformed('a Host that is no host and port')
        host = value
        break
      case 6:
        if (name.toLowerCase() === 'expect' && value.toLowerCase() !== '100-continue')
          return refuse('expectation-failed', 'an unknown expectation')
        break
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== undefined) return malformed('more than one Content-Length')
        if (!/^\d{1,15}$/.test(value)) return malformed('a Content-Length that is not a number')
        length = value
        break
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break
        if (coding !== undefined || value.toLowerCase() !== 'chunked')
          return malformed('a Transfer-Encoding other than chunked')
        coding = value
        break
    }
  }
  if (coding !== undefined && length !== undefined) return malformed('both Transfer-Encoding and Content-Length')
  if (coding !== undefined && head.httpVersion !== '1.1')
    return malformed(`Transfer-Encoding in HTTP/${head.httpVersion}`)
  const untold = coding !== undefined || (length === undefined && head.open === true)
  return admit(head, host, untold ? undefined : Number(length ?? 0))
}

function admit(head: RequestHead, host: string | undefined, length: number | undefined): Refusal | Admitted {
  const { url } = head
  if (host === undefined && head.httpVersion !== '1.0') return malformed('no Host')
  if (head.method === 'CONNECT') return malformed('CONNECT, which is for proxies that a client chose')
  if (badTarget.test(url)) return malformed('a request target with a character that none may hold')
  const body = length === undefined ? 'chunked' : length === 0 ? 'none' : 'length'
  if (url.startsWith('/')) return { target: url, host: host ?? '', body, length }
  // Absolute form (RFC 9112 section 3.2.2): its authority takes the place of Host.
  const absolute = /^https?:\/\/([^/?@]+)(\/[^?]*)?(\?.*)?$/i.exec(url)
  if (absolute === null || badHost.test(absolute[1]!))
    return malformed('a request target that is neither a path nor a URL')
  return { target: `${absolute[2] ?? '/'}${absolute[3] ?? ''}`, host: absolute[1]!, body, length }
}

const hasToken = (value: string, token: string): boolean => value.split(/[\s,]+/).includes(token)
