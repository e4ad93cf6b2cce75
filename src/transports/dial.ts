// How a connection to a backend is made: by name, address or unix socket, in the clear or by TLS.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'
import { type TlsSettings, tlsOf } from '../tls.ts'

export interface DialOptions {
  readonly clock: Clock
  /** How long it may take, the TLS handshake included, in ms. */
  readonly connectMs: number
  /** The protocols that are offered by TLS (ALPN, RFC 7301). */
  readonly protocols: readonly string[]
  /** The settings of TLS where the backend has none of its own. */
  readonly tls?: TlsSettings | undefined
  /** Gets what comes in the clear, in the place of `data` events: a stream makes a buffer of 64 KiB for each of these. */
  readonly onRead?: ((bytes: Buffer) => void) | undefined
}

/** What undici calls a connection that took too long; `failure.ts` knows it by this code. */
class ConnectTimeout extends Error {
  readonly code = 'UND_ERR_CONNECT_TIMEOUT'
}

/** A connection that stood, and failed before TLS did. Its code is that of what happened. */
export class HandshakeError extends Error {
  readonly code: string | undefined

  constructor(cause: Error) {
    super(cause.message, { cause })
    this.code = (cause as { code?: string }).code
  }
}

/**
 * Connects to a backend, and calls `settle` once, with an error or with a socket that carries errors without a listener of
 * its own. The function it returns gives up: then `settle` is not called. Every dial asks for the addresses of a name anew,
 * and tries all of them.
 */
export function dial(
  backend: Backend,
  options: DialOptions,
  settle: (error: Error | undefined, socket: Socket) => void,
): () => void {
  const isTls = backend.url.startsWith('https:')
  const socket = isTls ? secure(backend, options) : connect({ ...placeOf(backend), noDelay: true, ...reading(options) })
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
  let stands = false
  if (isTls)
    socket.once('connect', () => {
      stands = true
    })
  // Stays for the life of the socket: a reset must never be without a listener.
  socket.on('error', (error) => end(stands ? new HandshakeError(error) : error))
  socket.once(isTls ? 'secureConnect' : 'connect', () => end(undefined))
  return () => {
    settled = true
    timer.cancel()
    socket.destroy()
  }
}

/** After how long the system asks whether the other side of a silent connection is still there. */
const keepAliveProbeMs = 60_000

/** What the system reads into, for all connections: each copies what it gets at once. */
const buffer = Buffer.allocUnsafeSlow(65_536)

const reading = ({ onRead }: DialOptions) =>
  onRead && {
    onread: {
      buffer,
      callback(bytes: number) {
        onRead(Buffer.from(buffer.subarray(0, bytes)))
        return true
      },
    },
  }

const placeOf = ({ address, port, socketPath }: Backend) =>
  // Said, for a process can have another default.
  socketPath === undefined ? { host: address, port, autoSelectFamily: true } : { path: socketPath }

/** The address that a socket has, where the backend is given by a name. */
export const peerAddressOf = ({ address, socketPath }: Backend, socket: Socket): string | undefined =>
  socketPath === undefined && isIP(address) === 0 ? socket.remoteAddress : undefined

/** What the connections to a backend share: reading keys and certificates takes longer than a handshake. */
interface Security {
  /** The settings of the pool that it was made by. */
  readonly pool: TlsSettings | undefined
  readonly context: SecureContext
  readonly rejectUnauthorized: boolean
  /** The last session, which the next connection resumes. It was verified by these settings and this name. */
  session: Buffer | undefined
}

const securities = new WeakMap<Backend, Security>()

function securityOf(backend: Backend, pool: TlsSettings | undefined): Security {
  const known = securities.get(backend)
  if (known !== undefined && known.pool === pool) return known
  const { rejectUnauthorized = true, ...members } = { ...tlsOf(pool, backend.tls) }
  const { ca, cert, key, ...rest } = members
  const context = createSecureContext({
    ...rest,
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ...(cert === undefined ? {} : { cert: [...cert] }),
    ...(key === undefined ? {} : { key: [...key] }),
  })
  const made = { pool, context, rejectUnauthorized, session: undefined }
  securities.set(backend, made)
  return made
}

function secure(backend: Backend, { protocols, tls }: DialOptions): TLSSocket {
  // The name to verify is the backend's, whatever Host the client sent; an IP address is no name (RFC 6066 section 3), and
  // is verified as the address that is dialled.
  const { address, serverName } = backend
  const security = securityOf(backend, tls)
  const socket = connectTls({
    host: address,
    ...placeOf(backend),
    servername: serverName ?? (isIP(address) === 0 ? address : ''),
    ALPNProtocols: [...protocols],
    secureContext: security.context,
    rejectUnauthorized: security.rejectUnauthorized,
    ...(security.session === undefined ? {} : { session: security.session }),
  })
  socket.on('session', (session: Buffer) => {
    security.session = session
  })
  const forget = (): void => {
    security.session = undefined
  }
  // Of the handshake only: one session that is refused must not be tried again.
  socket.once('error', forget)
  socket.once('secureConnect', () => socket.off('error', forget))
  return socket
}
