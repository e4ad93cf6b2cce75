// A connection that is made when something is written, and made again when it broke.
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { Clock, Timer } from '../../clock.ts'
import type { TlsSettings } from '../../tls.ts'
import { Refusal } from '../shared/refusal.ts'
import { securityOf } from '../shared/security.ts'

export interface Place {
  readonly host: string
  readonly port: number
  readonly transport: 'tcp' | 'tls'
  readonly tls?: TlsSettings | undefined
  readonly serverName?: string | undefined
}

/** After how long the system asks whether the other side of a silent connection is still there. */
const keepAliveProbeMs = 60_000

export class StreamSocket {
  readonly #place: Place
  readonly #onBreak: () => void
  /** The connection that stands, and since when. */
  #socket: Socket | undefined
  #sinceUs = 0

  /** `onBreak` is called once for each connection that stood and does no longer, before the next is made. */
  constructor(place: Place, onBreak: () => void) {
    this.#place = place
    this.#onBreak = onBreak
  }

  /**
   * Resolves once the system has taken all of it, and the connection has stood for `trialMs` and still does. After a rejection no part
   * counts as taken.
   */
  async write(
    bytes: Buffer,
    { clock, trialMs }: { clock: Clock; trialMs: number },
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted()
    const socket = this.#socket ?? (await this.#connect(clock, signal))
    try {
      await settled(socket, signal, (done) => socket.write(bytes, done))
      const leftMs = trialMs - (clock.monoUs() - this.#sinceUs) / 1000
      if (leftMs > 0) await stands(socket, clock, leftMs, signal)
    } catch (error) {
      this.#broke(socket)
      throw error
    }
  }

  /** Ends the connection in order: what was written is sent. */
  async end(): Promise<void> {
    const socket = this.#socket
    this.#socket = undefined
    if (socket === undefined) return
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve())
      socket.end(() => socket.destroy())
    })
  }

  async #connect(clock: Clock, signal: AbortSignal): Promise<Socket> {
    const { host, port, transport, tls, serverName } = this.#place
    const at = { host, port, autoSelectFamily: true }
    const name = serverName ?? (isIP(host) === 0 ? host : undefined)
    const socket =
      transport === 'tls' ? connectTls({ ...at, ...securityOf(tls, name) }) : connect({ ...at, noDelay: true })
    socket.setKeepAlive(true, keepAliveProbeMs)
    // Stays for the life of the socket: a reset must never be without a listener.
    socket.on('error', () => undefined)
    await settled(socket, signal, (done) =>
      socket.once(transport === 'tls' ? 'secureConnect' : 'connect', () => done()),
    )
    this.#socket = socket
    this.#sinceUs = clock.monoUs()
    // A receiver says nothing, but only who reads hears that it has gone.
    socket.resume()
    socket.once('end', () => this.#broke(socket))
    socket.once('close', () => this.#broke(socket))
    return socket
  }

  #broke(socket: Socket): void {
    socket.destroy()
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.#onBreak()
  }
}

async function stands(socket: Socket, clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  let timer: Timer | undefined
  try {
    await settled(socket, signal, (done) => {
      timer = clock.after(ms, done)
    })
  } finally {
    timer?.cancel()
  }
}

/** Waits until the act is done; destroys the connection if that fails, or the signal or its end come first. */
function settled(
  socket: Socket,
  signal: AbortSignal,
  act: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: Error | null): void => {
      signal.removeEventListener('abort', aborted)
      socket.off('error', end)
      socket.off('close', closed)
      if (error === undefined || error === null) return resolve()
      socket.destroy()
      reject(error)
    }
    const aborted = (): void => end(new Refusal('the receiver did not take it in time'))
    const closed = (): void => end(new Refusal('the receiver closed the connection'))
    if (socket.destroyed) return closed()
    signal.addEventListener('abort', aborted, { once: true })
    socket.once('error', end)
    socket.once('close', closed)
    act(end)
  })
}
