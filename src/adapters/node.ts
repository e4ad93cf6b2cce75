// The adapter for Node's own servers: a handler, a server, and the records of what never reaches a handler.
import { createServer as createHttpServer, type Server, type ServerOptions } from 'node:http'
import {
  createServer as createHttp2Server,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerOptions as Http2ServerOptions,
  type SecureServerOptions,
} from 'node:http2'
import { createServer as createHttpsServer, type Server as HttpsServer } from 'node:https'
import type { TlsOptions } from 'node:tls'
import type { Balancer } from '../face.ts'
import type { AnyRequest, AnyResponse } from '../proxy/ports.ts'
import { type AnyServer, watchConnections } from './shared/connections.ts'
import { mustBeBalancer, mustBeServer } from './shared/given.ts'
import { type Mounts, mountsOf, placeOf, takeUpgrades } from './shared/mounts.ts'
import { mustBeAuditOnly, observed, watchRequests } from './shared/requests.ts'

export type { AnyRequest, AnyResponse } from '../proxy/ports.ts'
export type { AnyServer } from './shared/connections.ts'
export type { Mounts } from './shared/mounts.ts'

export type NodeHandler = (request: AnyRequest, response: AnyResponse) => void

/** Says that the host answers the requests, and that they are recorded all the same: neither they nor their responses are changed. */
export interface AuditOnly {
  readonly auditOnly: true
  /** `http.route` in the records; a function is called when a request is over. Default: none. */
  readonly route?: string | ((request: AnyRequest) => string | undefined)
}

/** A request listener that hands every request to the balancer. */
export function nodeHandler(balancer: Balancer): NodeHandler
/**
 * A function that has the record made of a request that the host answers. Call it as early as the host gets the request.
 * Returns our id of it, `lb.request_id`.
 */
export function nodeHandler(
  balancer: Balancer,
  options: AuditOnly & { readonly handler?: undefined },
): (request: AnyRequest, response: AnyResponse) => string
/** The host's own `handler`, with records of what it answers. */
export function nodeHandler<Q extends AnyRequest, S extends AnyResponse>(
  balancer: Balancer,
  options: AuditOnly & { readonly handler: (request: Q, response: S) => void },
): (request: Q, response: S) => void
export function nodeHandler(
  balancer: Balancer,
  options?: AuditOnly & { readonly handler?: NodeHandler | undefined },
): (request: AnyRequest, response: AnyResponse) => unknown {
  mustBeBalancer(balancer, 'nodeHandler')
  const { port } = balancer
  if (options === undefined) return (request, response) => port.handle(request, response)
  mustBeAuditOnly(options, 'nodeHandler')
  const { handler } = options
  const watch = (request: AnyRequest, response: AnyResponse) =>
    port.observe(request, response, observed(options, request))
  if (handler === undefined) return watch
  return (request, response) => {
    watch(request, response)
    return handler(request, response)
  }
}

export type PlainOptions = ServerOptions & { readonly tls?: undefined; readonly http2?: false }
export type EncryptedOptions = ServerOptions & { readonly tls: TlsOptions; readonly http2?: false }
export type PlainHttp2Options = Http2ServerOptions & { readonly tls?: undefined; readonly http2: true }
export type EncryptedHttp2Options = Omit<SecureServerOptions, keyof TlsOptions> &
  Pick<ServerOptions, 'headersTimeout' | 'keepAliveTimeout' | 'requestTimeout'> & {
    readonly tls: TlsOptions
    readonly http2: true
  }

/**
 * A server that is all balancer: every request, and what never becomes one. Call `listen` on it. With `tls` it is encrypted;
 * with `http2` it speaks HTTP/2, and where it is encrypted HTTP/1.1 too. All other options are Node's.
 */
export function createServer(balancer: Balancer, options?: PlainOptions): Server
export function createServer(balancer: Balancer, options: EncryptedOptions): HttpsServer
export function createServer(balancer: Balancer, options: PlainHttp2Options): Http2Server
export function createServer(balancer: Balancer, options: EncryptedHttp2Options): Http2SecureServer
export function createServer(
  balancer: Balancer,
  options: PlainOptions | EncryptedOptions | PlainHttp2Options | EncryptedHttp2Options = {},
): AnyServer {
  return attach(serverOf(options, nodeHandler(balancer)), balancer)
}

// A request without Host is refused by the balancer, with a record, and not by Node in silence.
const http1 = { requireHostHeader: false }

// A slow upload may take hours as long as it goes on: the balancer ends those that stall.
function patience({ requestTimeout = 0, headersTimeout }: ServerOptions): ServerOptions {
  const most = requestTimeout === 0 ? 60_000 : Math.min(60_000, requestTimeout)
  return { requestTimeout, headersTimeout: headersTimeout ?? most }
}

function serverOf(
  options: PlainOptions | EncryptedOptions | PlainHttp2Options | EncryptedHttp2Options,
  handler: NodeHandler,
): AnyServer {
  if (options.http2 === true) {
    if (options.tls === undefined) return createHttp2Server(options, handler)
    const { tls, http2: _, ...rest } = options
    const { keepAliveTimeout = 5000 } = rest
    // Node takes these as properties only, where it speaks both.
    const properties = { keepAliveTimeout, ...patience(rest) }
    return Object.assign(createSecureServer({ allowHTTP1: true, ...rest, ...tls }, handler), properties)
  }
  const { tls, http2: _, ...rest } = options
  const all = { ...http1, ...patience(rest), ...rest }
  return tls === undefined ? createHttpServer(all, handler) : createHttpsServer({ ...all, ...tls }, handler)
}

/**
 * Records what a server refuses before any handler sees it, as `access.denied` of the phase `connection`: addresses that may
 * not connect (they are cut off at once), requests that are not HTTP, failed TLS handshakes, connections and requests beyond
 * the server's own limits, CONNECT, and sessions of HTTP/2 that end by an error or a flood. Takes over upgrades to other
 * protocols: all of them, or with balancers by path those below these paths, which are stripped. With `auditOnly` nobody is cut
 * off, no upgrade is taken, and every request of the server is recorded as one that the host answers, or with balancers by path
 * those below these paths. Returns the server. Throws `config-invalid` for what is no server, and no balancer.
 */
export function attach<S extends AnyServer>(server: S, target: Balancer | Mounts, options?: AuditOnly): S {
  mustBeServer(server)
  const mounts = mountsOf(target)
  if (options !== undefined) mustBeAuditOnly(options, 'attach')
  const balancers = mounts.map(({ balancer }) => balancer)
  watchConnections(server, balancers, options !== undefined)
  if (options === undefined) takeUpgrades(server, mounts)
  else {
    const watching = ({ url = '' }: AnyRequest) => placeOf(mounts, url)?.balancer
    watchRequests(server, watching, (request) => observed(options, request))
  }
  return server
}
