// One connection of undici to one backend.
import { Client } from 'undici'
import type { Backend } from '../backend.ts'
import { dial, peerAddressOf } from './dial.ts'
import type { ConnectionsConfig, Line } from './pool.ts'
import type { TransportSettings } from './settings.ts'

export class UndiciLine implements Line {
  readonly client: Client
  /** How long the present socket took to open; undefined while there is none. Written by the client's events. */
  connectUs: number | undefined
  /** What the present socket has failed by first: then the end of a response may be none. Written by the socket's events. */
  fault: Error | undefined
  /** Requests that the present socket has carried. Written by the attempts. */
  requests = 0
  /** The address of the present socket, where the backend is given by a name. Written by the dial. */
  peerAddress: string | undefined

  constructor(
    backend: Backend,
    { clock, connections, timeouts, tls }: TransportSettings,
    onClosed: (line: UndiciLine, byBackend: boolean) => void,
  ) {
    const { connectMs, headerMs, bodyIdleMs } = timeouts
    let dialledAtUs = clock.monoUs()
    this.client = new Client(backend.url, {
      pipelining: 1,
      ...keepAliveOf(connections),
      headersTimeout: headerMs,
      bodyTimeout: bodyIdleMs,
      connect: (_, callback) => {
        dialledAtUs = clock.monoUs()
        dial(backend, { clock, connectMs, protocols: ['http/1.1'], tls }, (error, socket) => {
          if (error !== undefined) return callback(error, null)
          this.fault = undefined
          this.connectUs = clock.monoUs() - dialledAtUs
          this.requests = 0
          this.peerAddress = peerAddressOf(backend, socket)
          socket.on('error', (fault) => {
            this.fault ??= fault
          })
          callback(null, socket)
        })
      },
    })
    this.client.on('disconnect', (_url, _targets, error: { readonly code?: unknown }) => {
      this.connectUs = undefined
      // What undici does itself it calls information.
      onClosed(this, error.code !== 'UND_ERR_INFO')
    })
  }

  get isOpen(): boolean {
    return this.connectUs !== undefined
  }

  async destroy(): Promise<void> {
    await this.client.destroy().catch(() => undefined)
  }
}

const keepAliveOf = ({ keepAliveMs }: ConnectionsConfig) => ({
  keepAliveTimeout: keepAliveMs,
  keepAliveMaxTimeout: keepAliveMs,
  // How much sooner than the backend says an idle one is closed. When it is used no more is for `idleMsOf` to say.
  keepAliveTimeoutThreshold: 500,
})
