// Records of the requests that a server's host answers by itself.
import type { Server as HttpServer, IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { z } from 'zod'
import type { Balancer } from '../../face.ts'
import { parseOptions } from '../../parse.ts'
import type { AnyRequest, AnyResponse, HandleOptions } from '../../proxy/ports.ts'
import { own } from './claims.ts'
import type { AnyServer } from './connections.ts'
import { anyFunction } from './given.ts'

interface Routed {
  readonly route?: string | ((request: AnyRequest) => string | undefined)
}

const optionsSchema = z.object({
  auditOnly: z.literal(true),
  route: z.union([z.string(), anyFunction], { error: 'expected a text, or a function' }).optional(),
  handler: anyFunction.optional(),
})

/** Throws `config-invalid` for options that are not valid: with `auditOnly: false` too, for whoever means to serve gives none. */
export const mustBeAuditOnly = (options: unknown, where: string): void =>
  void parseOptions(optionsSchema, options, where)

/** What is known of a request beside itself. */
export function observed({ route }: Routed, request: AnyRequest): HandleOptions {
  if (route === undefined) return {}
  return { route: typeof route === 'string' ? route : () => route(request) }
}

/** Those of our listeners for upgrades that take none. */
const watchers = new WeakSet<object>()

/**
 * Has each request of a server recorded by the balancer that `watching` gives for it, if it gives one. The host's listeners
 * stay as they are, whenever they come.
 */
export function watchRequests(
  anyServer: AnyServer,
  watching: (request: AnyRequest) => Balancer | undefined,
  optionsOf: (request: AnyRequest) => HandleOptions,
): void {
  const server = anyServer as HttpServer
  server.prependListener('request', (request: AnyRequest, response: AnyResponse) => {
    watching(request)?.port.observe(request, response, optionsOf(request))
  })
  // Where nobody listens for upgrades they are requests like any other: a listener of ours alone would change that.
  const upgrade = own((request: IncomingMessage, socket: Duplex): void => {
    watching(request)?.port.observeUpgrade(request, socket, optionsOf(request))
  })
  watchers.add(upgrade)
  const isTaken = (): boolean => server.listeners('upgrade').some((listener) => !watchers.has(listener))
  let listens = isTaken()
  if (listens) server.prependListener('upgrade', upgrade)
  server.on('newListener', (name, listener) => {
    if (name !== 'upgrade' || listens || watchers.has(listener)) return
    listens = true
    server.prependListener('upgrade', upgrade)
  })
  server.on('removeListener', (name) => {
    if (name !== 'upgrade' || !listens || isTaken()) return
    listens = false
    server.removeListener('upgrade', upgrade)
  })
}
