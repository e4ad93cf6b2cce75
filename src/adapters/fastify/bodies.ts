// Leaves bodies below a mount to the hop: no parser of Fastify's gets hold of one.
import type { FastifyInstance, FastifyRequest } from 'fastify'

// What Fastify 5 takes for a media type. It refuses others with 415 before any parser.
const mediaType = /^\s*[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+\s*(?:;|$)/
const maybeParsed = new Set(['DELETE', 'OPTIONS', 'PATCH', 'POST', 'PUT', 'QUERY'])

/**
 * Leaves every body unread, whatever its type. Where Fastify would refuse the type (a QUERY needs one), a plain one stands in
 * for it between the last `preParsing` hook and the parser; the hooks before and after see what the client sent.
 */
export function takeAnyBody(app: FastifyInstance): void {
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
