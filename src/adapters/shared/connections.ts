// Records of what a server refuses before any handler sees it: connections, TLS handshakes, and what is no request.
import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { Server as HttpsServer } from 'node:https'
import type { DropArgument, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Balancer } from '../../face.ts'
import { peerOf } from '../../request.ts'

/** Any server of Node's that takes HTTP. */
export type AnyServer = HttpServer | HttpsServer | Http2Server | Http2SecureServer

/** The balancers of each server that is watched, in the order in which they came. */
const watched = new WeakMap<AnyServer, Set<Balancer>>()

/**
 * Records what these servers refuse, as `access.denied` of the phase `connection`. Once for each refusal, however many
 * balancers share a server: by the first of them that is not closed.
 */
export function watchConnections(server: AnyServer, balancers: readonly Balancer[]): void {
  const known = watched.get(server)
  if (known !== undefined) {
    for (const balancer of balancers) known.add(balancer)
    return
  }
  const all = new Set(balancers)
  watched.set(server, all)
  new Connections(server, all).watch()
}

type Named = Parameters<typeof peerOf>[0]

class Connections {
  // The events of the four kinds of servers differ: an emitter of all of them is what they have in common.
  readonly #server: HttpServer
  readonly #balancers: ReadonlySet<Balancer>
  /** What has its record, and gets no second one for what follows from the first. */
  readonly #told = new WeakSet<object>()

  constructor(server: AnyServer, balancers: ReadonlySet<Balancer>) {
    this.#server = server as HttpServer
    this.#balancers = balancers
  }

  // Ours come first: a listener of the host's may destroy the connection, and with it the address.
  watch(): void {
    const server = this.#server
    server.prependListener('connection', (socket: Socket) => this.#connected(socket))
    server.prependListener('tlsClientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      this.#told.add(socket)
      if (error.code !== 'ECONNRESET') this.#refused('tls-handshake', socket, error.code ?? error.message)
    })
    server.prependListener('clientError', (error: NodeJS.ErrnoException, socket: Duplex) =>
      this.#clientError(error, socket as Socket),
    )
    server.prependListener('dropRequest', (_request: IncomingMessage, socket: Duplex) =>
      this.#refused('requests-per-socket', socket as Socket),
    )
    server.prependListener('drop', (dropped?: DropArgument) => this.#refused('max-connections', dropped ?? {}))
    // Node answers these two by itself, in silence, where nobody listens.
    server.on('connect', (_request: IncomingMessage, socket: Duplex) => this.#connect(socket as Socket))
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      // The gate refuses it with a record.
      if (this.#alone('checkExpectation')) server.emit('request', request, response)
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
    for (const balancer of this.#balancers) {
      const denied = balancer.port.denies(address)
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
    const over = error.code === 'ECONNRESET' || error.code === 'EPIPE' || socket.destroyed || socket.writableEnded
    if (!over && !this.#told.has(socket)) this.#refused('malformed', socket, error.code ?? error.message)
    if (!this.#alone('clientError')) return
    if (over || this.#told.has(socket)) socket.destroy()
    else answer(socket, statusOf(error.code))
  }

  #connect(socket: Socket): void {
    if (!this.#alone('connect')) return
    this.#refused('malformed', socket, 'CONNECT')
    answer(socket, '400 Bad Request')
  }

  #refused(rule: string, socket: Named, detail?: string): void {
    const peer = peerOf(socket)
    this.#teller()?.port.refused({
      access: { rule, phase: 'connection', ...(detail === undefined ? {} : { detail }) },
      client: { ...peer, source: 'peer' },
      network: { peer },
      outcome: 'failure',
    })
  }

  #teller(): Balancer | undefined {
    const all = [...this.#balancers]
    return all.length < 2 ? all[0] : all.find((balancer) => balancer.snapshot().state !== 'closed')
  }
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
