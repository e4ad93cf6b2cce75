// What is known of a request from its first look on: the same for every adapter and every version of HTTP.
import type { IncomingMessage } from 'node:http'
import { uniqueId } from '../random.ts'
import { type Client, type Peer, peerOf } from '../request.ts'
import { type Encryption, encryptionOf } from './encryption.ts'
import type { HandleOptions } from './ports.ts'
import { peerOfStream } from './sessions.ts'
import { headersOf, streamOf } from './versions.ts'

export interface Incoming {
  readonly request: IncomingMessage
  readonly options: HandleOptions
  /** Our id of it: `lb.request_id`, and `x-request-id` both ways. */
  readonly requestId: string
  /** Who is at the other end of the connection. */
  readonly peer: Peer
  /** Who is taken for the client. */
  readonly client: Client
  /** Names and values in turn, as the client sent them; those of HTTP/2 as HTTP/1 has them. */
  readonly rawHeaders: readonly string[]
  /** Path and query as the client sent them. */
  readonly target: string
  /** Whether the client's connection is TLS. */
  readonly encrypted: boolean
  /** What TLS says of it, where it is. */
  readonly encryption: Encryption | undefined
  /** The port that the client connected to. */
  readonly localPort: number | undefined
}

export function incoming(request: IncomingMessage, options: HandleOptions): Incoming {
  const { socket, url = '' } = request
  const stream = streamOf(request)
  const peer = (stream === undefined ? undefined : peerOfStream(stream)) ?? peerOf(socket)
  const encrypted = 'encrypted' in socket
  return {
    request,
    options,
    requestId: uniqueId(),
    peer,
    client: { ...peer, source: 'peer' },
    rawHeaders: headersOf(request),
    target: options.originalTarget ?? url,
    encrypted,
    encryption: encrypted ? encryptionOf(request) : undefined,
    localPort: socket.localPort,
  }
}
