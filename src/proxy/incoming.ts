// What is known of a request from its first look on: the same for every adapter and every version of HTTP.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { uniqueId } from '../random.ts'
import { type Client, type Peer, peerOf } from '../request.ts'
import { type Encryption, encryptionOf } from './encryption.ts'
import { type Said, saidIn, type Trust } from './forwarded.ts'
import type { HandleOptions } from './ports.ts'
import { peerOfStream } from './sessions.ts'
import { type Ambient, ambient, sentTrace, type Trace } from './trace.ts'
import { headersOf, streamOf } from './versions.ts'

export interface Incoming {
  readonly request: IncomingMessage
  readonly options: HandleOptions
  /** Our id of it, or that of a peer that is believed: `lb.request_id`, and `x-request-id` both ways. */
  readonly requestId: string
  /** Who is at the other end of the connection. */
  readonly peer: Peer
  /** Who is taken for the client. */
  readonly client: Client
  /** What the peer says of the client, where the peer is believed. */
  readonly said: Said | undefined
  /** What traces it at the host, where something does. */
  readonly ambient: Ambient | undefined
  /** The trace that it belongs to. */
  readonly trace: Trace | undefined
  /** Names and values in turn, as the client sent them; those of HTTP/2 as HTTP/1 has them. */
  readonly rawHeaders: readonly string[]
  /** Path and query as the client sent them. */
  readonly target: string
  /** Whether the connection is TLS. */
  readonly encrypted: boolean
  /** What TLS says of it, where it is. */
  readonly encryption: Encryption | undefined
  /** The port that the peer connected to. */
  readonly localPort: number | undefined
}

/** `trust` is undefined where nobody is believed. */
export function incoming(request: IncomingMessage, options: HandleOptions, trust: Trust | undefined): Incoming {
  const { url = '' } = request
  const rawHeaders = headersOf(request)
  const connection = connectionOf(request)
  const { peer, encrypted } = connection
  const around = ambient()
  const said = trust?.trusts(peer.address, 0) === true ? saidIn(rawHeaders, trust) : undefined
  return {
    request,
    options,
    requestId: options.handedOver?.requestId ?? said?.requestId ?? uniqueId(),
    peer,
    client: said?.chain[0] === undefined ? connection.client : clientOf(said.chain[0], 'forwarded'),
    said,
    ambient: around,
    trace: around?.span ?? sentTrace(rawHeaders),
    rawHeaders,
    target: options.originalTarget ?? url,
    encrypted,
    encryption: encrypted ? encryptionOf(request) : undefined,
    localPort: connection.localPort,
  }
}

// Member by member: what is spread has a shape of its own each time, and all that reads it is slow from then on.
const clientOf = ({ address, port }: Peer, source: Client['source']): Client =>
  port === undefined ? { address, source } : { address, port, source }

/** What all requests of a connection have in common. */
interface Connection {
  readonly peer: Peer
  /** The peer, as a client. */
  readonly client: Client
  readonly encrypted: boolean
  readonly localPort: number | undefined
}

/** Of HTTP/1: there every request comes by the socket itself. */
const known = new WeakMap<Socket, Connection>()

function connectionOf(request: IncomingMessage): Connection {
  const { socket } = request
  const stream = streamOf(request)
  if (stream !== undefined) return made(socket, peerOfStream(stream) ?? peerOf(socket))
  let found = known.get(socket)
  if (found === undefined) {
    found = made(socket, peerOf(socket))
    // One that is closed already has no address any more, but may have told it to others before.
    if (!socket.destroyed) known.set(socket, found)
  }
  return found
}

const made = (socket: Socket, peer: Peer): Connection => ({
  peer,
  client: clientOf(peer, 'peer'),
  encrypted: 'encrypted' in socket,
  localPort: socket.localPort,
})
