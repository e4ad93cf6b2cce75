// The adapter for Node's own servers: a handler, a server, and the records of what never reaches a handler.
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { DropArgument, Socket } from 'node:net'
import type { Balancer } from '../face.ts'
import { peerOf } from '../request.ts'
import { continueOnRead } from './shared/continues.ts'
import { type Mounts, mountsOf, takeUpgrades } from './shared/mounts.ts'

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void

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
  // A slow upload may take hours as long as it goes on: the balancer ends those that stall.
  const { requestTimeout = 0 } = options
  const headersTimeout = requestTimeout === 0 ? 60_000 : Math.min(60_000, requestTimeout)
  const defaults = { requireHostHeader: false, requestTimeout, headersTimeout }
  return attach(createHttpServer({ ...defaults, ...options }, nodeHandler(balancer)), balancer)
}

/**
 * Records what a server refuses before any handler sees it, as `access.denied` of the phase `connection`: addresses that may
 * not connect (they are cut off at once), requests that are not HTTP, failed TLS handshakes, connections and requests beyond
 * the server's own limits, CONNECT. Takes over upgrades to other protocols: all of them, or with balancers by path those below
 * these paths, which are stripped. Returns the server.
 */
export function attach<S extends Server | HttpsServer>(server: S, target: Balancer | Mounts): S {
  const mounts = mountsOf(target)
  takeUpgrades(server, mounts)
  const { balancer } = mounts[0]!
  const refused = (rule: string, socket: Parameters<typeof peerOf>[0], detail?: string): void =>
    record(balancer, rule, socket, detail)
  server.on('connection', (socket: Socket) => {
    const rule = balancer.port.denies(peerOf(socket).address)
    if (rule === undefined) return
    refused(rule, socket)
    socket.destroy()
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // A client that went away did nothing wrong, and one whose connection we closed has its record.
    if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed || socket.writableEnded) {
      socket.destroy()
      return
    }
    refused('malformed', socket, error.code ?? error.message)
    answer(socket, statusOf(error.code))
  })
  server.on('connect', (_request: IncomingMessage, socket: Socket) => {
    refused('malformed', socket, 'CONNECT')
    answer(socket, '400 Bad Request')
  })
  // Node answers 417 by itself, in silence: the gate does it with a record.
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    server.emit('request', request, response),
  )
  server.on('checkContinue', continueOnRead(server))
  server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => refused('requests-per-socket', socket))
  server.on('drop', (dropped?: DropArgument) => refused('max-connections', dropped ?? {}))
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code !== 'ECONNRESET') refused('tls-handshake', socket, error.code ?? error.message)
  })
  return server
}

function record(
  balancer: Balancer,
  rule: string,
  socket: Parameters<typeof peerOf>[0],
  detail: string | undefined,
): void {
  const peer = peerOf(socket)
  balancer.port.refused({
    access: { rule, phase: 'connection', ...(detail === undefined ? {} : { detail }) },
    client: { ...peer, source: 'peer' },
    network: { peer },
    outcome: 'failure',
  })
}

function statusOf(code: string | undefined): string {
  if (code === 'HPE_HEADER_OVERFLOW') return '431 Request Header Fields Too Large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout'
  return '400 Bad Request'
}

/** Node's own note of the response that a connection carries now; without it an answer could land within another one. */
type Carrying = { readonly _httpMessage?: { readonly headersSent: boolean } | null }

function answer(socket: Socket, status: string): void {
  const begun = (socket as Carrying)._httpMessage?.headersSent === true
  if (begun || !socket.writable) socket.destroy()
  else
    socket
      .on('error', ignore)
      .end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`, () => socket.destroy())
}

// A socket that Node has handed over by CONNECT has no other handler: a reset must not end the process.
const ignore = (): void => undefined
