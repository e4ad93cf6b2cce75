// Certificates of clients that a server does not trust: Node destroys their connections, and tells nobody.
import type { Server as HttpsServer } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { type Peer, peerOf } from '../../request.ts'

/** Calls `refused` for each connection whose certificate is not trusted, once it is closed. */
export function watchCertificates(
  server: Pick<HttpsServer, 'on'>,
  refused: (socket: TLSSocket, peer: Peer, code: string) => void,
): void {
  const seen = new WeakSet<TLSSocket>()
  // No other event has the connection before it is destroyed.
  server.on('keylog', (_line: Buffer, socket: TLSSocket) => {
    if (seen.has(socket)) return
    seen.add(socket)
    const peer = peerOf(socket)
    socket.once('close', () => {
      // It is a code, whatever its type says.
      const code: unknown = socket.authorizationError
      if (!socket.authorized && typeof code === 'string') refused(socket, peer, code)
    })
  })
}
