// The adapter for Fastify: an encapsulated plugin that hands over every request below its prefix.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Balancer } from '../face.ts'

export interface FastifyBalancerOptions {
  readonly balancer: Balancer
  /** Where it is mounted; Fastify takes this out of the options. Stripped from the path that the backend gets. */
  readonly prefix?: string
  /** What takes the prefix's place in the path for the backend. Default: nothing. */
  readonly rewritePrefix?: string
}

/**
 * Register with `app.register(fastifyBalancer, { balancer, prefix: '/api' })`. Hooks of the surrounding app run before the
 * request is handed over, and headers that they set go along. Bodies are not parsed: they stream.
 */
export async function fastifyBalancer(app: FastifyInstance, options: FastifyBalancerOptions): Promise<void> {
  const { port } = options.balancer
  const prefix = app.prefix
  const rewritten = (options.rewritePrefix ?? '').replace(/\/$/, '')
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  const handler = (request: FastifyRequest, reply: FastifyReply): void => {
    const url = request.raw.url ?? '/'
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) reply.raw.setHeader(name, value)
    reply.hijack()
    port.handle(request.raw, reply.raw, { target: `${rewritten}${afterPrefix(url, prefix)}`, originalTarget: url })
  }
  const route = { method: [...app.supportedMethods], exposeHeadRoute: false, handler }
  app.route({ ...route, url: '/' })
  app.route({ ...route, url: '/*' })
}

/** What follows the prefix, as a path: `/api?x` under `/api` is `/?x`. Counted in segments, for one may be a parameter. */
function afterPrefix(url: string, prefix: string): string {
  const mark = url.indexOf('?')
  const path = mark === -1 ? url : url.slice(0, mark)
  const segments = prefix.replace(/\/$/, '').split('/').length
  return `/${path.split('/').slice(segments).join('/')}${url.slice(path.length)}`
}
