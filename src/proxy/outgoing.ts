// The head of a request on its way to a backend, from what is known of the request.
import type { Backend } from '../backend.ts'
import type { Admitted } from './gate.ts'
import { requestHeaders, without } from './headers.ts'
import type { Incoming } from './incoming.ts'

export interface OutgoingFacts {
  readonly backend: Backend
  readonly admitted: Admitted
  readonly keepHost: boolean
  readonly ownCookie: string | undefined
  readonly via: string
}

export function outgoingHeaders(incoming: Incoming, facts: OutgoingFacts): string[] {
  const { request, options, rawHeaders, peer, encrypted, localPort, requestId } = incoming
  const { host, body } = facts.admitted
  // Whether it is not the client's own, but was read and given to us by somebody before.
  const bodyGiven = options.body !== undefined
  const headers = requestHeaders(rawHeaders, {
    host,
    backend: facts.backend,
    keepHost: facts.keepHost && host !== '',
    ownCookie: facts.ownCookie,
    hasLength: body !== 'chunked' && !bodyGiven,
    peerAddress: peer.address,
    encrypted,
    localPort,
    requestId,
    via: facts.via,
    httpVersion: request.httpVersion,
  })
  // Who read the body before us has decoded it.
  return bodyGiven ? without(headers, 'content-encoding') : headers
}
