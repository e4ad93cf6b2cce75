// Where a request comes from, as backends are told: the fields that we add.
import { isIP } from 'node:net'
import type { Peer } from '../request.ts'
import type { ForwardedConfig } from './forwarded.ts'
import type { Incoming } from './incoming.ts'

/** Adds the fields. `host` is what the peer has asked for; it is empty where it named none (HTTP/1.0). */
export function addOrigin(headers: string[], incoming: Incoming, host: string, sends: ForwardedConfig): void {
  if (sends === 'x-forwarded' || sends === 'both') addXForwarded(headers, incoming, host)
  if (sends === 'standard' || sends === 'both') headers.push('forwarded', forwarded(incoming, host))
}

function addXForwarded(headers: string[], incoming: Incoming, sentHost: string): void {
  const { peer, said, encrypted, localPort } = incoming
  const host = said?.host ?? sentHost
  const proto = said?.proto ?? protoOf(encrypted)
  const port = said === undefined ? localPort : (said.port ?? portAsked(incoming, host, proto))
  const chain = chainBefore(incoming, false)
  // A client of a unix socket has no address.
  const from = peer.address === '' ? chain : chain === '' ? peer.address : `${chain}, ${peer.address}`
  headers.push('x-forwarded-proto', proto)
  if (from !== '') headers.push('x-forwarded-for', from)
  if (host !== '') headers.push('x-forwarded-host', host)
  if (port !== undefined) headers.push('x-forwarded-port', String(port))
}

const protoOf = (encrypted: boolean): 'http' | 'https' => (encrypted ? 'https' : 'http')

/** The port that the client used, where the peer says how it was asked: our own port is the peer's affair then. */
function portAsked({ said, localPort }: Incoming, host: string, proto: 'http' | 'https'): number | undefined {
  if (said?.proto === undefined && said?.host === undefined) return localPort
  const given = /:(\d{1,5})$/.exec(host)?.[1]
  return given === undefined ? (proto === 'https' ? 443 : 80) : Number(given)
}

/** RFC 7239: what came before, and an element for the peer, with how it has asked. */
function forwarded(incoming: Incoming, host: string): string {
  const chain = chainBefore(incoming, true)
  const own = element(incoming.peer, protoOf(incoming.encrypted), host)
  return chain === '' ? own : `${chain}, ${own}`
}

/** What stood in the header that is believed, as it came; or, in the words of the other one, those that are believed. */
function chainBefore({ said }: Incoming, standard: boolean): string {
  if (said === undefined) return ''
  if (said.standard === standard) return said.text
  const { chain, proto, host } = said
  if (!standard) return chain.map(({ address }) => address).join(', ')
  return chain.map((peer, i) => (i === 0 ? element(peer, proto, host ?? '') : element(peer, undefined, ''))).join(', ')
}

/** A peer without an address is `unknown` (section 6.2). */
function element({ address }: Peer, proto: string | undefined, host: string): string {
  const family = isIP(address)
  // A zone means nothing to anybody else.
  const node = family === 0 ? 'unknown' : family === 6 ? `"[${address.split('%', 1)[0]}]"` : address
  const asked = proto === undefined ? '' : `;proto=${proto}`
  return `for=${node}${host === '' ? '' : `;host=${quoted(host)}`}${asked}`
}

/** A token, or a quoted text (RFC 9110 section 5.6.4): a port's colon makes a host one. */
const quoted = (text: string): string =>
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(text) ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
