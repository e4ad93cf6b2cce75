// `auditOnly`: the records of what an app answers by itself, and the ids by which log lines find each other.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { FastifyBalancerOptions } from './options.ts'

/** Marks the routes of a mount, whose requests are recorded there. */
export const mounted = Symbol('auditlb.mounted')

export function watch(app: FastifyInstance, { balancer, closeBalancer }: FastifyBalancerOptions): void {
  app.addHook('onRequest', (request, reply, done) => {
    const { config, url } = request.routeOptions
    if ((config as { [mounted]?: true } | undefined)?.[mounted] === undefined) {
      const id = balancer.port.observe(request.raw, reply.raw, {
        originalTarget: request.originalUrl,
        ...(url === undefined ? {} : { route: url }),
        appRequestId: request.id,
      })
      bindLog(request, reply, id)
    }
    done()
  })
  if (closeBalancer === true) app.addHook('onClose', async () => void (await balancer.close()))
}

/** From here on the lines that Fastify logs of a request carry our id of it. */
export function bindLog(request: FastifyRequest, reply: FastifyReply, id: string): void {
  const log = request.log.child({ lb_request_id: id })
  request.log = log
  reply.log = log
}
