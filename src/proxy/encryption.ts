// What TLS says of a connection, and of the certificate by which its client was authenticated.
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { streamOf } from './versions.ts'

/** In the words of OpenTelemetry. */
export interface Encryption {
  readonly cipher: string | undefined
  /** Only of a certificate that the server trusts: another one says what it likes. */
  readonly client: { readonly hash: { readonly sha256: string }; readonly subject: string } | undefined
  readonly protocol: { readonly name: 'tls'; readonly version: string | undefined }
}

/** By connection: a socket, or a session of HTTP/2. */
const known = new WeakMap<object, Encryption>()

/** Of an encrypted connection; undefined where it is over already. */
export function encryptionOf(request: IncomingMessage): Encryption | undefined {
  const stream = streamOf(request)
  const connection = stream === undefined ? request.socket : stream.session
  if (connection === undefined || connection.destroyed) return undefined
  let found = known.get(connection)
  if (found === undefined) {
    found = read(request.socket as TLSSocket)
    known.set(connection, found)
  }
  return found
}

function read(socket: TLSSocket): Encryption {
  const version = socket.getProtocol?.()?.replace(/^TLSv/, '')
  return {
    cipher: socket.getCipher?.()?.standardName,
    client: socket.authorized ? clientOf(socket) : undefined,
    protocol: { name: 'tls', version: version === '1' ? '1.0' : version },
  }
}

function clientOf(socket: TLSSocket): Encryption['client'] {
  const { subject, fingerprint256 } = socket.getPeerCertificate() ?? {}
  // A session that is resumed by a ticket may be without the certificate.
  if (fingerprint256 === undefined) return undefined
  const names = Object.entries((subject ?? {}) as Record<string, string | string[]>)
  return {
    hash: { sha256: fingerprint256.replaceAll(':', '') },
    subject: names.flatMap(([name, value]) => [value].flat().map((one) => `${name}=${one}`)).join(', '),
  }
}
