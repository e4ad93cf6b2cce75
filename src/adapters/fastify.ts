// The adapter for Fastify: an encapsulated plugin that hands over every request below its prefix.
import { METHODS } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Balancer } from '../face.ts'
import { contained } from './shared/escapes.ts'

export interface FastifyBalancerOptions {
  readonly balancer: Balancer
  /** Where it is mounted; Fastify takes this out of the options. Stripped from the path that the backend gets. */
  readonly prefix?: string
  /** What takes the prefix's place in the path for the backend. Default: nothing. */
  readonly rewritePrefix?: string
}

/**
 * Register with `app.register(fastifyBalancer, { balancer, prefix: '/api' })`. Hooks of the surrounding app run before the
 * request is handed over, and headers that they set go along. Bodies are not parsed: they stream. Every method that Node
 * knows is handed over: those that the app lacks are added to it, as methods without a body to parse.
 *
 * What Fastify answers before any route sees it has no record: a path with a broken escape (400), a parameter of the prefix
 * beyond `maxParamLength`, requests while the app closes (503). So has what the app refuses in its own hooks, and an invalid
 * Content-Type (415) where such a hook looked at `request.mediaType`, or where the app added the method with `hasBody`.
 */
export async function fastifyBalancer(app: FastifyInstance, options: FastifyBalancerOptions): Promise<void> {
  const { port } = options.balancer
  const targetOf = targetBelow(app, (options.rewritePrefix ?? '').replace(/\/$/, ''))
  takeAnyBody(app)
  for (const method of METHODS)
    if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  const handler = (request: FastifyRequest, reply: FastifyReply): void => {
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) reply.raw.setHeader(name, value)
    reply.hijack()
    const originalTarget = request.originalUrl
    const target = targetOf(request.raw.url ?? '/')
    port.handle(request.raw, reply.raw, { target: contained(target, originalTarget), originalTarget })
  }
  const route = { method: [...app.supportedMethods], exposeHeadRoute: false, handler }
  app.route({ ...route, url: '/' })
  app.route({ ...route, url: '/*' })
}

/**
 * The target for the backend: what follows the prefix, as a path. `/api?x` under `/api` is `/?x`. The prefix is counted in
 * segments, for one may be a parameter, and read as Fastify's router reads it: an authority is no part of the path.
 */
function targetBelow(app: FastifyInstance, rewritten: string): (url: string) => string {
  // Options of the router stand at the top, or together in one option, whose type is not complete.
  const router: Record<string, unknown> = { ...app.initialConfig, ...app.initialConfig.routerOptions }
  const slash = router.ignoreDuplicateSlashes === true ? '/+' : '/'
  const character = router.useSemicolonDelimiter === true ? '[^/?;]' : '[^/?]'
  const segments = app.prefix.replace(/\/$/, '').split('/').length - 1
  const mount = new RegExp(`^(?:${slash}${character}*){${segments}}`)
  return (url) => {
    const [, authority, path] = /^(https?:\/\/[^/?]+)?((?:[/?].*)?)$/is.exec(url) ?? []
    // Neither a path nor a URL: the gate refuses it.
    if (path === undefined) return url
    const rest = path.replace(mount, '')
    return `${authority ?? ''}${rewritten}${rest.startsWith('/') ? '' : '/'}${rest}`
  }
}

// What Fastify takes for a media type. It refuses others with 415 before any parser.
const mediaType = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/
const maybeParsed = new Set(['DELETE', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY'])

/**
 * Leaves every body unread, whatever its type. Where Fastify would refuse the type (a QUERY needs one), a plain one stands in
 * for it between the last `preParsing` hook and the parser; the hooks before and after see what the client sent.
 */
function takeAnyBody(app: FastifyInstance): void {
  const replaced = new WeakMap<FastifyRequest, FastifyRequest['headers']>()
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const { headers, method } = request
    const type = headers['content-type']
    if (maybeParsed.has(method) && (type === undefined ? method === 'QUERY' : !mediaType.test(type))) {
      replaced.set(request, headers)
      request.headers = { ...headers, 'content-type': 'application/octet-stream' }
    }
    done(null, payload)
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (request, payload, done) => {
    const headers = replaced.get(request)
    if (headers !== undefined) request.headers = headers
    done(null, payload)
  })
}
