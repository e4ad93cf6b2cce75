// The adapter for Fastify 4 and 5: a plugin that hands over every request below its prefix, or records those of the app.
import { METHODS } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { HandleOptions } from '../proxy/ports.ts'
import { takeAnyBody } from './fastify/bodies.ts'
import { mountOf } from './fastify/mount.ts'
import type { FastifyBalancerOptions } from './fastify/options.ts'
import { takeUpgrades, upgradeHead } from './fastify/upgrades.ts'
import { correlation, watch } from './fastify/watch.ts'
import { routes } from './shared/claims.ts'
import { contained } from './shared/escapes.ts'

export type { FastifyBalancerOptions } from './fastify/options.ts'

/**
 * Register with `app.register(fastifyBalancer, { balancer, prefix: '/api' })`. Hooks of the surrounding app run before the
 * request is handed over, and headers that they set go along. Bodies are not parsed: they stream. Every method that Node
 * knows is handed over: those that the app lacks are added to it, as methods without a body to parse. Fastify 4 has its own list.
 *
 * What Fastify answers before any hook has no record: a path with a broken escape (400), a parameter of the prefix beyond
 * `maxParamLength`, requests while the app closes (503). What the app refuses in its own hooks has one with `auditOnly` alone.
 */
export async function fastifyBalancer(app: FastifyInstance, options: FastifyBalancerOptions): Promise<void> {
  if (options.auditOnly === true) watch(app, options)
  else app.register(mount, options)
}

// What it watches is the scope in which it is registered; a mount has one of its own.
Object.assign(fastifyBalancer, { [Symbol.for('skip-override')]: true })

/** Called once: when the response has begun, or with the failure that the app answers. */
type Settle = (error?: Error) => void

async function mount(app: FastifyInstance, options: FastifyBalancerOptions): Promise<void> {
  const { balancer, constraints, onRequest, preValidation, onResponse } = options
  const { port } = balancer
  const place = mountOf(app, (options.rewritePrefix ?? '').replace(/\/$/, ''))
  const throws = options.onError === 'throw'
  const open = new Set<Socket>()

  const handOver = (request: FastifyRequest, reply: FastifyReply, settle: Settle): void => {
    const { raw } = request
    const originalTarget = request.originalUrl
    const names = passHeaders(reply)
    if (!throws) reply.hijack()
    const facts: HandleOptions = {
      target: contained(place.target(raw.url ?? '/'), originalTarget),
      originalTarget,
      ...(app.prefix === '' ? {} : { route: app.prefix }),
      ...correlation(request, reply),
      ...(throws ? { onHead: () => void settle(void reply.hijack()), onFail: failing(reply, names, settle) } : {}),
    }
    const head = upgradeHead(raw)
    if (head === undefined) return port.handle(raw, reply.raw, facts)
    const { socket } = raw
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    port.upgrade(raw, socket, head, { ...facts, response: reply.raw })
  }

  takeAnyBody(app)
  const taken = addMethods(app, options.httpMethods)
  const route = {
    exposeHeadRoute: false,
    constraints: constraints ?? {},
    onRequest: onRequest ?? [],
    preValidation: preValidation ?? [],
    onResponse: onResponse ?? [],
    preHandler: [
      options.preHandler ?? [],
      // An upgrade ends here: a plugin that brings WebSockets to Fastify puts a handler of its own in the place of every other.
      (request: FastifyRequest, reply: FastifyReply, done: Settle) =>
        upgradeHead(request.raw) === undefined ? done() : handOver(request, reply, done),
    ].flat(),
    handler: (request: FastifyRequest, reply: FastifyReply): Promise<void> | undefined => {
      if (throws)
        return new Promise((resolve, reject) =>
          handOver(request, reply, (error) => (error === undefined ? resolve() : reject(error))),
        )
      handOver(request, reply, ignore)
      return undefined
    },
  }
  for (const url of ['/', '/*'])
    if (taken === undefined) app.all(url, route)
    else app.route({ ...route, method: taken, url })

  routes(app.server, balancer)
  if (options.upgrades !== false) {
    const leave = takeUpgrades(app.server, { holds: place.holds, routing: (...given) => app.routing(...given) })
    app.addHook('onClose', async () => leave())
  }
  // Before the server closes, which would wait for them.
  app.addHook('preClose', async () => {
    if (options.closeBalancer === true) await balancer.close()
    for (const socket of open) socket.destroy()
  })
}

const ignore = (): void => undefined

/** Puts the headers that hooks have set where the hop finds them. */
function passHeaders(reply: FastifyReply): readonly string[] {
  const headers = Object.entries(reply.getHeaders())
  for (const [name, value] of headers) if (value !== undefined) reply.raw.setHeader(name, value)
  return headers.map(([name]) => name)
}

/** Leaves the answer to the app, with its headers where Fastify has them. */
function failing(reply: FastifyReply, names: readonly string[], settle: Settle): (error: Error) => void {
  return (error) => {
    for (const name of names) reply.raw.removeHeader(name)
    settle(error)
  }
}

/** Adds the methods that the app lacks, where it can be added to; returns those to take, undefined for all that it has then. */
function addMethods(app: FastifyInstance, asked: readonly string[] | undefined): string[] | undefined {
  const wanted = asked?.map((method) => method.toUpperCase())
  // Fastify 4 knows the methods that it knows.
  if (typeof app.addHttpMethod === 'function')
    for (const method of wanted ?? METHODS)
      if (method !== 'CONNECT' && !app.supportedMethods.includes(method)) app.addHttpMethod(method)
  return wanted
}
