// The gate: refuses what is not well-formed or too large, before anything else looks at it. Upgrades go through it too.
import type { RequestResult } from '../outcome.ts'
import type { LimitsConfig } from './limits.ts'
import { escapesMount, hostAndPort, isToken, readTarget } from './target.ts'

export interface Refusal {
  readonly result: Extract<
    RequestResult,
    'malformed' | 'expectation-failed' | 'loop' | 'too-large' | 'target-too-long' | 'headers-too-large'
  >
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
  /** The target for the backend. */
  readonly url: string
  /** The target as the client sent it, where it is another one: a mount path was stripped. */
  readonly original?: string | undefined
  /** Whether its path let it in: it must not lead elsewhere. */
  readonly mounted?: boolean
  readonly httpVersion: string
  readonly rawHeaders: readonly string[]
  /** How many header lines the server reads: its `maxHeadersCount`. */
  readonly most?: number | undefined
  /** Set for a stream of HTTP/2: whether it ends with the head. */
  readonly stream?: { readonly endAfterHeaders: boolean } | undefined
  /** Whether the connection is to be handed over to another protocol. */
  readonly upgrade?: boolean
}

const refuse = (result: Refusal['result'], detail: string): Refusal => ({ result, detail })
const malformed = (detail: string): Refusal => refuse('malformed', detail)

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const controls = /[\x00-\x08\x0a-\x1f\x7f]/

/** How many header lines Node's parser hands over at most, where its server does not say. */
const mostLines = 1000

/** What a header line takes beside its name and value: a colon, a space and the line's end. */
const lineBytes = 4

/** Fields that speak of a connection, and have no place in HTTP/2 (RFC 9113 section 8.2.2). */
const ofConnection = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** `via` is our own name in `Via`: a request that carries it has been here before (RFC 9110 section 7.6.3). */
export function inspect(head: RequestHead, via: string, limits: LimitsConfig): Refusal | Admitted {
  const { rawHeaders: raw, stream, httpVersion } = head
  const wrong = version(httpVersion, stream !== undefined) ?? size(head, limits)
  if (wrong !== undefined) return wrong
  let host: string | undefined
  let length: string | undefined
  let coding: string | undefined
  let bytes = 0
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!
    const value = raw[i + 1]!
    bytes += name.length + value.length + lineBytes
    if (controls.test(value)) return malformed('a control character in a header')
    if (!isToken(name) && (stream === undefined || !name.startsWith(':'))) return malformed('a header without a name')
    if (stream !== undefined && speaksOfConnection(name, value)) return malformed('a field of the connection in HTTP/2')
    switch (name.length) {
      case 3:
        if (name.toLowerCase() === 'via' && hasToken(value, via)) return refuse('loop', via)
        break
      case 4:
        if (name.toLowerCase() !== 'host') break
        if (host !== undefined) return malformed('more than one Host')
        if (!hostAndPort.test(value)) return malformed('a Host that is no host and port')
        host = value
        break
      case 6:
        if (name.toLowerCase() === 'expect' && value.toLowerCase() !== '100-continue')
          return refuse('expectation-failed', 'an unknown expectation')
        break
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== undefined) return malformed('more than one Content-Length')
        if (!/^(?:0|[1-9]\d{0,14})$/.test(value)) return malformed('a Content-Length that is not a number')
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
  if (bytes > limits.headerBytes) return refuse('headers-too-large', `${bytes} bytes`)
  if (coding !== undefined && length !== undefined) return malformed('both Transfer-Encoding and Content-Length')
  if (coding !== undefined && httpVersion === '1.0') return malformed('Transfer-Encoding in HTTP/1.0')
  const streams = coding !== undefined || (stream?.endAfterHeaders === false && length === undefined)
  return admit(head, host, streams ? undefined : Number(length ?? 0), limits)
}

// Node's parser takes 0.9 and 2.0 for versions too, and reads both as 1.1.
function version(httpVersion: string, isStream: boolean): Refusal | undefined {
  if (isStream || httpVersion === '1.1' || httpVersion === '1.0') return undefined
  return malformed('a version other than HTTP/1.0 and HTTP/1.1')
}

function size(
  { url, original = url, rawHeaders: raw, most = mostLines }: RequestHead,
  limits: LimitsConfig,
): Refusal | undefined {
  if (original.length > limits.targetBytes) return refuse('target-too-long', `${original.length} bytes`)
  // What stands behind so many Node has left out, without a word: the body's length may be among it.
  if (raw.length >= 2 * most) return refuse('headers-too-large', 'more lines than can be read')
  if (raw.length > 2 * limits.headers) return refuse('headers-too-large', `${raw.length / 2} lines`)
  return undefined
}

function admit(
  head: RequestHead,
  host: string | undefined,
  length: number | undefined,
  { bodyBytes }: LimitsConfig,
): Refusal | Admitted {
  const { url, mounted = false, method } = head
  if (host === undefined && head.httpVersion !== '1.0') return malformed('no Host')
  if (!isToken(method)) return malformed('a method that is no token')
  if (method === 'CONNECT') return malformed('CONNECT, which is for proxies that a client chose')
  if (head.upgrade === true && length !== 0) return malformed('an upgrade with a body')
  // It has `:authority` for that (RFC 9113 section 8.3.1).
  if (head.stream !== undefined && !/^[/*]/.test(url)) return malformed('a target that is no path in HTTP/2')
  const read = readTarget(url, method)
  if (typeof read === 'string') return malformed(read)
  if (mounted && escapesMount(url)) return malformed('a path that leaves its mount')
  if (length !== undefined && bodyBytes !== undefined && length > bodyBytes)
    return refuse('too-large', `${length} bytes`)
  const body = length === undefined ? 'chunked' : length === 0 ? 'none' : 'length'
  // The authority of an absolute form takes the place of Host (RFC 9112 section 3.2.2).
  return { target: read.target, host: read.authority ?? host ?? '', body, length }
}

const speaksOfConnection = (name: string, value: string): boolean => {
  const lower = name.toLowerCase()
  return ofConnection.has(lower) || (lower === 'te' && value.toLowerCase() !== 'trailers')
}

const hasToken = (value: string, token: string): boolean => value.split(/[\s,]+/).includes(token)
