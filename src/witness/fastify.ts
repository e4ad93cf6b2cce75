// A witness as a plugin of Fastify.
import type { IncomingMessage, ServerResponse } from 'node:http'

/** What of a Fastify app the plugin uses: the types of its versions differ in the rest. */
interface FastifyLike {
  removeAllContentTypeParsers(): void
  addContentTypeParser(
    type: string,
    parse: (request: never, payload: IncomingMessage, done: (error: null, body?: unknown) => void) => void,
  ): unknown
  all(path: string, handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => void): unknown
}

interface FastifyRequestLike {
  readonly raw: IncomingMessage
  readonly params: unknown
}

interface FastifyReplyLike {
  readonly raw: ServerResponse
  hijack(): unknown
}

type Handle = (request: IncomingMessage, response: ServerResponse, url: string) => void

/** Bodies are not parsed below the prefix. Hooks of the surrounding app run before. */
export const registerIn =
  (handle: Handle) =>
  async (instance: object): Promise<void> => {
    const app = instance as FastifyLike
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.all('/*', (request, reply) => {
      const { '*': rest = '' } = request.params as { '*'?: string }
      reply.hijack()
      handle(request.raw, reply.raw, `/${rest}`)
    })
  }
