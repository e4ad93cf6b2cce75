// The head of a request on its way to a backend, from what is known of the request.
import type { IncomingMessage } from 'node:http'
import type { Backend } from '../backend.ts'
import type { Peer } from '../request.ts'
import type { Admitted } from './gate.ts'
import { requestHeaders, without } from './headers.ts'

export interface OutgoingFacts {
  readonly backend: Backend
  readonly admitted: Admitted
  readonly peer: Peer
  readonly keepHost: boolean
  readonly ownCookie: string | undefined
  readonly requestId: string
  readonly via: string
  /** Whether the body is not the client's own, but was read and given to us by somebody before. */
  readonly bodyGiven: boolean
}

export function outgoingHeaders(request: IncomingMessage, facts: OutgoingFacts): string[] {
  const { socket, rawHeaders, httpVersion } = request
  const { backend, peer, requestId, via, bodyGiven } = facts
  const { host, body } = facts.admitted
  const headers = requestHeaders(rawHeaders, {
    host,
    backend,
    keepHost: facts.keepHost && host !== '',
    ownCookie: facts.ownCookie,
    hasLength: body !== 'chunked' && !bodyGiven,
    peerAddress: peer.address,
    encrypted: 'encrypted' in socket,
    localPort: socket.localPort,
    requestId,
    via,
    httpVersion,
  })
  // Who read the body before us has decoded it.
  return bodyGiven ? without(headers, 'content-encoding') : headers
}
