// What the proxies in front of us say of a request: who the client is, and what it asked for.
import { isIP, SocketAddress } from 'node:net'
import { z } from 'zod'
import { type Peer, peerOf } from '../request.ts'

/** Which headers tell a backend where a request comes from. */
export const forwardedSchema = z.enum(['x-forwarded', 'standard', 'both', 'none'])
export type ForwardedConfig = z.output<typeof forwardedSchema>

/** Who is believed, and the header in which those write. */
export interface Trust {
  readonly header: 'either' | 'x-forwarded-for' | 'forwarded'
  trusts(address: string, hop: number): boolean
}

/** What a peer that is believed says. */
export interface Said {
  /** Those that are believed, the farthest first: it is the client. Empty where nothing is said, or nothing that can be read. */
  readonly chain: readonly Peer[]
  /** Whether the chain is that of `Forwarded`. */
  readonly standard: boolean
  /** The whole of that header as it came, also what is not believed. */
  readonly text: string
  /** How the client asked, and for what. */
  readonly proto: 'http' | 'https' | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  /** Its id of the request. */
  readonly requestId: string | undefined
}

/** How many hops are walked at most: behind that nothing is believed. */
const mostHops = 32
/** The longest member of a list that is looked at, in characters: an address, a host name and what stands around them. */
const mostMember = 512

/** A host, with or without a port (RFC 3986 section 3.2.2, without user information). */
export const hostText = /^[A-Za-z0-9._~%!$&'()*+,;=:[\]-]{1,255}$/
const sentId = /^[A-Za-z0-9._~:/+=@-]{1,128}$/

interface Lines {
  forwardedFor: string | undefined
  forwarded: string | undefined
  proto: string | undefined
  host: string | undefined
  port: string | undefined
  requestId: string | undefined
  requestIds: number
}

/** What the headers say, to be asked only where the peer is believed. `headers` are names and values in turn. */
export function saidIn(headers: readonly string[], trust: Trust): Said {
  const lines = linesOf(headers)
  const standard =
    trust.header === 'forwarded' || (trust.header === 'either' && lines.forwardedFor === undefined && !!lines.forwarded)
  const text = (standard ? lines.forwarded : lines.forwardedFor) ?? ''
  const requestId = lines.requestIds === 1 && sentId.test(lines.requestId!) ? lines.requestId : undefined
  const { chain, last } = walk(text, standard, trust)
  const proto = protoOf(standard ? last?.proto : lastOf(lines.proto))
  const host = hostOf(standard ? last?.host : lastOf(lines.host))
  const port = portOf(standard ? undefined : lastOf(lines.port))
  return { chain, standard, text, proto, host, port, requestId }
}

function linesOf(headers: readonly string[]): Lines {
  const lines: Lines = {
    forwardedFor: undefined,
    forwarded: undefined,
    proto: undefined,
    host: undefined,
    port: undefined,
    requestId: undefined,
    requestIds: 0,
  }
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const value = headers[i + 1]!
    switch (headers[i]!.toLowerCase()) {
      case 'x-forwarded-for':
        lines.forwardedFor = joined(lines.forwardedFor, value)
        break
      case 'forwarded':
        lines.forwarded = joined(lines.forwarded, value)
        break
      case 'x-forwarded-proto':
        lines.proto = value
        break
      case 'x-forwarded-host':
        lines.host = value
        break
      case 'x-forwarded-port':
        lines.port = value
        break
      case 'x-request-id':
        lines.requestId = value
        lines.requestIds++
        break
    }
  }
  return lines
}

const joined = (before: string | undefined, value: string): string =>
  before === undefined ? value : `${before}, ${value}`

/** The last member of a list: what the peer itself has written, whatever came with the request that it got. */
const lastOf = (value: string | undefined): string | undefined => value?.slice(value.lastIndexOf(',') + 1).trim()

function protoOf(text: string | undefined): Said['proto'] {
  const lower = text?.toLowerCase()
  return lower === 'http' || lower === 'https' ? lower : undefined
}

const hostOf = (text: string | undefined): string | undefined =>
  text !== undefined && hostText.test(text) ? text : undefined

function portOf(text: string | undefined): number | undefined {
  const port = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : 0
  return port > 0 && port < 65_536 ? port : undefined
}

interface Node {
  readonly peer: Peer
  readonly proto?: string | undefined
  readonly host?: string | undefined
}

/**
 * Goes from the right, where the peer wrote, to the left, as long as those on the way are believed: the first that is not is
 * the client. Behind what cannot be read nothing is believed.
 */
function walk(text: string, standard: boolean, trust: Trust): { chain: readonly Peer[]; last: Node | undefined } {
  const chain: Peer[] = []
  let last: Node | undefined
  let end = text.length
  for (let hop = 1; hop <= mostHops && end > 0; hop++) {
    const comma = commaBefore(text, end, standard)
    const member = end - comma > mostMember ? '' : text.slice(comma + 1, end).trim()
    const node = standard ? elementOf(member) : nodeOf(peerIn(member))
    if (node === undefined) break
    last = node
    chain.push(node.peer)
    if (!trust.trusts(node.peer.address, hop)) break
    end = comma
  }
  return { chain: chain.reverse(), last }
}

const nodeOf = (peer: Peer | undefined): Node | undefined => (peer === undefined ? undefined : { peer })

/**
 * The place of the comma before the last member, or -1. Read from the right: what a client has put into the left of the list
 * (an open quote) cannot take in what a proxy has added to it.
 */
function commaBefore(text: string, end: number, quoted: boolean): number {
  for (let i = end - 1; i >= 0; i--) {
    if (text[i] === ',') return i
    if (!quoted || text[i] !== '"') continue
    i = quoteBefore(text, i)
  }
  return -1
}

/** The place of the quote that opens what this one closes, or -1. */
function quoteBefore(text: string, end: number): number {
  for (let i = end - 1; i >= 0; i--) {
    if (text[i] !== '"') continue
    let slashes = 0
    while (text[i - 1 - slashes] === '\\') slashes++
    if (slashes % 2 === 0) return i
    i -= slashes
  }
  return -1
}

/** Of a token and a value (RFC 7239 section 4): a token too, or a quoted text. */
const pair = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")\s*(?:;|$)/y

function elementOf(member: string): Node | undefined {
  const parameters = new Map<string, string>()
  pair.lastIndex = 0
  for (let at = 0; at < member.length; at = pair.lastIndex) {
    const [, name, token, quoted] = pair.exec(member) ?? []
    if (name === undefined) return undefined
    const key = name.toLowerCase()
    // No parameter twice (section 4): it could be read in two ways.
    if (parameters.has(key)) return undefined
    parameters.set(key, token ?? quoted!.replace(/\\(.)/g, '$1'))
  }
  const node = parameters.get('for')
  // An IPv6 address without brackets is no node (section 6).
  const peer = node === undefined || isIP(node) === 6 ? undefined : peerIn(node)
  return peer === undefined ? undefined : { peer, proto: parameters.get('proto'), host: parameters.get('host') }
}

const node = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15}))(?::(?:(\d{1,5})|_[A-Za-z0-9._-]+))?$/

/** An address, with or without a port; undefined for all else: names, `unknown`, what somebody has hidden. */
function peerIn(text: string): Peer | undefined {
  const [, six, four, digits] = node.exec(text) ?? []
  const address = six ?? four ?? (isIP(text) === 6 && !text.includes('%') ? text : undefined)
  const family = address === undefined ? 0 : isIP(address)
  if (family === 0 || (six !== undefined && family !== 6)) return undefined
  // One way of writing it: it is matched, hashed and counted by its text.
  const remoteAddress = family === 4 ? address! : new SocketAddress({ address: address!, family: 'ipv6' }).address
  const remotePort = portOf(digits)
  if (digits !== undefined && remotePort === undefined) return undefined
  return peerOf({ remoteAddress, remotePort })
}
