// What a strategy and a caller of `pick` know about a request.
import { isIP } from 'node:net'

/** A request as a pick sees it. Any protocol can fill it in. */
export interface PickRequest {
  readonly method?: string | undefined
  readonly path?: string | undefined
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
  readonly client?: { readonly address?: string | undefined } | undefined
}

/** How the address of a client is known: from its connection, from what a trusted proxy says, or given by the host. */
export const clientSources = ['peer', 'forwarded', 'given'] as const

/** Who is taken for the client of a request. */
export interface Client {
  readonly address: string
  readonly port?: number | undefined
  readonly source: (typeof clientSources)[number]
}

/** Who is at the other end of a connection. */
export interface Peer {
  /** Empty where there is none: a unix socket. */
  readonly address: string
  readonly port?: number
}

/**
 * The peer of a socket. A server that listens on IPv6 sees IPv4 clients as mapped addresses (RFC 4291 section 2.5.5.2): they
 * are told, and matched, as the IPv4 addresses that they are.
 */
export function peerOf(socket: {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}): Peer {
  const { remoteAddress = '', remotePort } = socket
  const mapped = remoteAddress.startsWith('::ffff:') ? remoteAddress.slice(7) : ''
  const address = isIP(mapped) === 4 ? mapped : remoteAddress
  return remotePort === undefined ? { address } : { address, port: remotePort }
}
