// Records of the requests that a server's host answers by itself.
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Balancer } from '../../face.ts'
import type { AnyRequest, AnyResponse, HandleOptions } from '../../proxy/ports.ts'
import { own } from './claims.ts'
import type { AnyServer } from './connections.ts'

interface Routed {
  readonly route?: string | ((request: AnyRequest) => string | undefined)
}

/** What is known of a request beside itself. */
export function observed({ route }: Routed, request: AnyRequest): HandleOptions {
  if (route === undefined) return {}
  return { route: typeof route === 'string' ? route : () => route(request) }
}

/** Watches every request of a server. The host's listeners stay as they are, whenever they come. */
export function watchRequests(
  anyServer: AnyServer,
  { port }: Balancer,
  optionsOf: (request: AnyRequest) => HandleOptions,
): void {
  const server = anyServer as HttpServer
  server.prependListener('request', (request: AnyRequest, response: AnyResponse) => {
    port.observe(request, response, optionsOf(request))
  })
  // Where nobody listens for upgrades they are requests like any other: a listener of ours alone would change that.
  const upgrade = own((request: IncomingMessage, socket: Duplex): void =>
    port.observeUpgrade(request, socket, optionsOf(request)),
  )
  let listens = server.listenerCount('upgrade') > 0
  if (listens) server.prependListener('upgrade', upgrade)
  server.on('newListener', (name) => {
    if (name !== 'upgrade' || listens) return
    listens = true
    server.prependListener('upgrade', upgrade)
  })
  server.on('removeListener', (name) => {
    if (name !== 'upgrade' || !listens || server.listenerCount('upgrade') > 1) return
    listens = false
    server.removeListener('upgrade', upgrade)
  })
}
