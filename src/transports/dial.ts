// How a connection to a backend is made: by name, address or unix socket, in the clear or by TLS.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'

export interface DialOptions {
  readonly clock: Clock
  /** How long it may take, the TLS handshake included, in ms. */
  readonly connectMs: number
  /** The protocols that are offered by TLS (ALPN, RFC 7301). */
  readonly protocols: readonly string[]
}

/** What undici calls a connection that took too long; `failure.ts` knows it by this code. */
class ConnectTimeout extends Error {
  readonly code = 'UND_ERR_CONNECT_TIMEOUT'
}

/**
 * Connects to a backend, and calls `settle` once, with an error or with a socket that carries errors without a listener of
 * its own. The function it returns gives up: then `settle` is not called.
 */
export function dial(
  backend: Backend,
  options: DialOptions,
  settle: (error: Error | undefined, socket: Socket) => void,
): () => void {
  const isTls = backend.url.startsWith('https:')
  const socket = isTls
    ? secure(backend, options)
    : connect({ host: backend.address, port: backend.port, noDelay: true })
  let settled = false
  const end = (error: Error | undefined): void => {
    if (settled) return
    settled = true
    timer.cancel()
    if (error !== undefined) socket.destroy()
    settle(error, socket)
  }
  const timer = options.clock.after(options.connectMs, () =>
    end(new ConnectTimeout(`not connected within ${options.connectMs} ms`)),
  )
  socket.setKeepAlive(true, keepAliveProbeMs)
  // Stays for the life of the socket: a reset must never be without a listener.
  socket.on('error', end)
  socket.once(isTls ? 'secureConnect' : 'connect', () => end(undefined))
  return () => {
    settled = true
    timer.cancel()
    socket.destroy()
  }
}

/** After how long the system asks whether the other side of a silent connection is still there. */
const keepAliveProbeMs = 60_000

function secure(backend: Backend, { protocols }: DialOptions): TLSSocket {
  // The name to verify is the backend's, whatever Host the client sent; an IP address is no name (RFC 6066 section 3), and
  // is verified as the address that is dialled.
  const { address, serverName } = backend
  return connectTls({
    host: address,
    port: backend.port,
    servername: serverName ?? (isIP(address) === 0 ? address : ''),
    ALPNProtocols: [...protocols],
  })
}
