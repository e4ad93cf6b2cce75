// Records of what a server refuses before any handler sees it: connections, TLS handshakes, and what is no request.
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { DropArgument, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Balancer } from '../../face.ts'
import type { AnyResponse } from '../../proxy/ports.ts'
import { type Peer, peerOf } from '../../request.ts'
import { watchCertificates } from './certificates.ts'
import { takeContinue } from './continues.ts'
import { answer, breakOff, leaves } from './last-words.ts'

/** Any server of Node's that takes HTTP. */
export type AnyServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer

/** The balancers of each server that is watched, in the order in which they came; and whether each only watches. */
type Balancers = Map<Balancer, boolean>
const watched = new WeakMap<AnyServer, Balancers>()

/**
 * Records what these servers refuse, as `access.denied` of the phase `connection`. Once for each refusal, however many
 * balancers share a server: by the first of them that is not closed. Those that only watch cut nobody off.
 */
export function watchConnections(server: AnyServer, balancers: readonly Balancer[], onlyWatch = false): void {
  const known = watched.get(server)
  const all: Balancers = known ?? new Map()
  for (const balancer of balancers) all.set(balancer, onlyWatch && all.get(balancer) !== false)
  if (known !== undefined) return
  watched.set(server, all)
  new Connections(server, all).watch()
}

// The events of the four kinds of servers differ: an emitter of all of them is what they have in common.
type Emitter = HttpServer & { readonly requestCert?: boolean; readonly rejectUnauthorized?: boolean }

class Connections {
  readonly #server: Emitter
  readonly #balancers: Balancers
  /** What has its record, and gets no second one for what follows from the first. */
  readonly #told = new WeakSet<object>()

  constructor(server: AnyServer, balancers: Balancers) {
    this.#server = server as Emitter
    this.#balancers = balancers
  }

  // Ours come first: a listener of the host's may destroy the connection, and with it the address.
  watch(): void {
    const server = this.#server
    server.prependListener('connection', (socket: Socket) => this.#connected(socket))
    server.prependListener('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      if (error.code === 'ECONNRESET') return
      this.#told.add(socket)
      this.#refused('tls-handshake', socket, error.code ?? error.message)
    })
    if (server.requestCert === true && server.rejectUnauthorized === true)
      watchCertificates(this.#server as unknown as HttpsServer, (socket, peer, code) => {
        if (!this.#told.has(socket)) this.#refusedPeer('tls-handshake', peer, code)
      })
    server.prependListener('clientError', (error: NodeJS.ErrnoException, socket: Duplex) =>
      this.#clientError(error, socket as Socket),
    )
    server.prependListener('dropRequest', (_request: IncomingMessage, socket: Duplex) =>
      this.#refused('requests-per-socket', socket as Socket),
    )
    server.prependListener('drop', (dropped?: DropArgument) => this.#refused('max-connections', dropped ?? {}))
    server.prependListener('session', (session: ServerHttp2Session) => this.#teller()?.port.session(session))
    // Node answers these by itself, in silence, where nobody listens.
    server.on('connect', (request: IncomingMessage, carrier: Socket | Http2ServerResponse) =>
      this.#connect(request, carrier),
    )
    server.on('unknownProtocol', (socket: Socket) => {
      this.#refused('unknown-protocol', socket)
      if (this.#alone('unknownProtocol')) answer(socket, 505)
    })
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      const serves = [...this.#balancers.values()].includes(false)
      if (this.#alone('checkContinue')) takeContinue(server, serves, request, response)
    })
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      if (this.#alone('checkExpectation')) this.#refuse(request, response, 417)
    })
  }

  /** Whether nobody but us listens: otherwise the host answers. */
  #alone(event: string): boolean {
    return this.#server.listenerCount(event) === 1
  }

  // One that any of them serves must be let in: the others refuse what is theirs as requests.
  #connected(socket: Socket): void {
    const { address } = peerOf(socket)
    let rule: string | undefined
    for (const [balancer, onlyWatches] of this.#balancers) {
      const denied = onlyWatches ? undefined : balancer.port.denies(address)
      if (denied === undefined) return
      rule ??= denied
    }
    if (rule === undefined) return
    this.#refused(rule, socket)
    this.#told.add(socket)
    socket.destroy()
  }

  #clientError(error: NodeJS.ErrnoException, socket: Socket): void {
    // A client that went away did nothing wrong, and one whose connection we closed has its record.
    const gone = error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed || socket.writableEnded
    const over = gone || this.#told.has(socket)
    if (!over && !leaves(socket, error)) this.#refused('malformed', socket, error.code ?? error.message)
    const alone = this.#alone('clientError')
    if (!over) breakOff(socket, error, alone)
    else if (alone) socket.destroy()
  }

  #connect(request: IncomingMessage, carrier: Socket | Http2ServerResponse): void {
    if (!this.#alone('connect')) return
    // In HTTP/2 it takes a stream, not a connection.
    if ('stream' in carrier) return this.#refuse(request, carrier, 405)
    this.#refused('malformed', carrier, 'CONNECT')
    answer(carrier, 400)
  }

  // The gate of one that serves refuses it; where all only watch it is answered as Node does.
  #refuse(request: IncomingMessage, response: AnyResponse, status: number): void {
    for (const [balancer, onlyWatches] of this.#balancers)
      if (!onlyWatches) return balancer.port.handle(request, response)
    this.#teller()?.port.observe(request, response)
    response.statusCode = status
    response.end()
  }

  #refused(rule: string, socket: Parameters<typeof peerOf>[0], detail?: string): void {
    this.#refusedPeer(rule, peerOf(socket), detail)
  }

  #refusedPeer(rule: string, peer: Peer, detail: string | undefined): void {
    this.#teller()?.port.refused({
      access: { rule, phase: 'connection', ...(detail === undefined ? {} : { detail }) },
      client: { ...peer, source: 'peer' },
      network: { peer },
      outcome: 'failure',
    })
  }

  #teller(): Balancer | undefined {
    const all = [...this.#balancers.keys()]
    return all.length < 2 ? all[0] : all.find((balancer) => balancer.snapshot().state !== 'closed')
  }
}
