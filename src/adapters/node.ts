// The adapter for Node's own servers: a handler, a server, and the records of what never reaches a handler.
import { createServer as createHttpServer, type Server, type ServerOptions } from 'node:http'
import type { Balancer } from '../face.ts'
import type { AnyRequest, AnyResponse } from '../proxy/ports.ts'
import { type AnyServer, watchConnections } from './shared/connections.ts'

export type NodeHandler = (request: AnyRequest, response: AnyResponse) => void

/** A request listener that hands every request to the balancer. */
export function nodeHandler(balancer: Balancer): NodeHandler {
  const { port } = balancer
  return (request, response) => port.handle(request, response)
}

/**
 * A server that is all balancer: every request, and what never becomes one. Call `listen` on it. `options` are Node's; a
 * request without Host is refused by the balancer, with a record, and not by Node in silence.
 */
export function createServer(balancer: Balancer, options: ServerOptions = {}): Server {
  return attach(createHttpServer({ requireHostHeader: false, ...options }, nodeHandler(balancer)), balancer)
}

/**
 * Records what a server refuses before any handler sees it, as `access.denied` of the phase `connection`: addresses that may
 * not connect (they are cut off at once), requests that are not HTTP, failed TLS handshakes, connections and requests beyond
 * the server's own limits, CONNECT. Returns the server.
 */
export function attach<S extends AnyServer>(server: S, balancer: Balancer): S {
  watchConnections(server, [balancer])
  return server
}
