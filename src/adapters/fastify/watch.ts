// `auditOnly`: the records of what an app answers by itself, and the ids by which log lines find each other.
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { closeIn } from './closing.ts'
import type { FastifyBalancerOptions } from './options.ts'

export function watch(app: FastifyInstance, { balancer, closeBalancer }: FastifyBalancerOptions): void {
  app.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url
    balancer.port.observe(request.raw, reply.raw, {
      originalTarget: request.originalUrl,
      ...(route === undefined ? {} : { route }),
      ...correlation(request, reply),
    })
    done()
  })
  if (closeBalancer === true) app.addHook('onClose', async () => closeIn(app, balancer))
}

/** What has become of the logger of a request. */
interface Bound {
  readonly before: FastifyBaseLogger
  readonly after: FastifyBaseLogger
}
const bound = new WeakMap<FastifyRequest, Bound>()

/** Our record gets Fastify's id of a request, and the lines that Fastify logs from here on get ours. */
export const correlation = (request: FastifyRequest, reply: FastifyReply) => ({
  appRequestId: request.id,
  appRequest: request,
  onId(id: string): void {
    // What was watched, and is handed over after all, has another id then.
    const known = bound.get(request)
    const before = known !== undefined && known.after === request.log ? known.before : request.log
    const after = before.child({ lb_request_id: id })
    bound.set(request, { before, after })
    request.log = after
    reply.log = after
  },
})
