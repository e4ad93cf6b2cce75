// The adapter for Express: a middleware that hands over what reaches it, with the mount path stripped as Express does it.
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Balancer } from '../face.ts'
import { parseOptions } from '../parse.ts'
import type { HandleOptions } from '../proxy/ports.ts'
import { mustBeBalancer } from './shared/given.ts'
import { type ParsedRequest, parsedBody } from './shared/parsed-body.ts'

/** What of an Express request the middleware looks at. */
export interface ExpressRequest extends ParsedRequest {
  readonly originalUrl?: string
  readonly baseUrl?: string
  readonly route?: { readonly path?: unknown } | undefined
}

export interface ExpressBalancerOptions {
  /**
   * Takes only the requests for which this is true. The others go to `next()`, untouched and without a record; if it throws or
   * rejects, to `next(error)`. Default: all.
   */
  match?(request: ExpressRequest): boolean | Promise<boolean>
  /**
   * Who answers a request that failed before its response began: the balancer (`answer`), or the app's error handler, which gets
   * a {@link BalancerError} by `next(error)`. What is not well-formed is always answered here. Default: `answer`.
   */
  readonly onError?: 'answer' | 'next'
  /** Backends get the whole path, with the mount path. Default: false, it is stripped. */
  readonly keepMount?: boolean
  /** Forwards nothing: the app's own routes answer, and each request is recorded once it is over. Default: false. */
  readonly auditOnly?: boolean
}

export type ExpressMiddleware = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

type Match = NonNullable<ExpressBalancerOptions['match']>

const optionsSchema = z
  .strictObject({
    match: z.custom<Match>((value) => typeof value === 'function', 'expected a function').optional(),
    onError: z.enum(['answer', 'next']).default('answer'),
    keepMount: z.boolean().default(false),
    auditOnly: z.boolean().default(false),
  })
  .refine(({ auditOnly, onError }) => !auditOnly || onError === 'answer', {
    path: ['onError'],
    message: 'expected none with auditOnly, which answers nothing',
  })
  .refine(({ auditOnly, keepMount }) => !auditOnly || !keepMount, {
    path: ['keepMount'],
    message: 'expected none with auditOnly, which forwards nothing',
  })

/**
 * Answers every request that reaches it, or those that `match` takes. A body that a parser has read before is sent on: as
 * `rawBody` if there is one, as it is if it is a Buffer or a text, and written anew, in UTF-8, if it is JSON or a form. Any
 * other body that was read is answered with 500 and the result `body-consumed`: mount the balancer before that parser.
 *
 * With `auditOnly` it answers nothing: it watches, and calls `next()`. Throws `config-invalid` for options that are not valid.
 */
export function expressBalancer(balancer: Balancer, options: ExpressBalancerOptions = {}): ExpressMiddleware {
  const { match, onError, keepMount, auditOnly } = parseOptions(optionsSchema, options, 'expressBalancer')
  mustBeBalancer(balancer, 'expressBalancer')
  const { port } = balancer
  const take: ExpressMiddleware = (request, response, next) => {
    const body = parsedBody(request)
    const { originalUrl, url = '/' } = request
    const target = keepMount ? (originalUrl ?? url) : url
    const route = routeOf(request)
    // A route or a match lets paths through as a mount does.
    const mounted = match !== undefined || route !== undefined || (originalUrl !== undefined && originalUrl !== url)
    port.handle(request, response, {
      target,
      mounted,
      ...(originalUrl === undefined ? {} : { originalTarget: originalUrl }),
      ...(body === undefined ? {} : { body }),
      ...(route === undefined ? {} : { route }),
      ...(onError === 'next' ? { onFail: next } : {}),
    })
  }
  const watch: ExpressMiddleware = (request, response, next) => {
    const { originalUrl } = request
    const given: HandleOptions = originalUrl === undefined ? {} : { originalTarget: originalUrl }
    port.observe(request, response, { ...given, route: lastRoute(request) })
    next()
  }
  const all = auditOnly ? watch : take
  return match === undefined ? all : matching(match, all)
}

/** Hands over what `match` takes, and leaves the rest to others. */
function matching(match: Match, take: ExpressMiddleware): ExpressMiddleware {
  return (request, response, next) => {
    const decided = (takes: boolean): void => (takes ? take(request, response, next) : next())
    // Only an error goes on as one: `next(undefined)` would hand the request to whoever comes next.
    const failed = (cause: unknown): void =>
      next(cause instanceof Error ? cause : new Error('match of expressBalancer failed', { cause }))
    let takes: boolean | Promise<boolean>
    try {
      takes = match(request)
    } catch (error) {
      return failed(error)
    }
    if (typeof takes === 'boolean') decided(takes)
    else Promise.resolve(takes).then(decided, failed)
  }
}

/** Where a request is now: the mount, and below it the pattern of the route that matched, if one did. */
function routeOf({ baseUrl = '', route }: ExpressRequest): string | undefined {
  const path = route?.path
  const pattern = path === undefined ? '' : Array.isArray(path) ? path.map(String).join('|') : String(path)
  return `${baseUrl}${pattern === '/' && baseUrl !== '' ? '' : pattern}` || undefined
}

const lastRoutes = new WeakMap<ExpressRequest, () => string | undefined>()

/**
 * Tells the last route that matched, as it stood then: once an error is on its way to its handler, Express has taken the mount
 * back already.
 */
function lastRoute(request: ExpressRequest): () => string | undefined {
  const known = lastRoutes.get(request)
  if (known !== undefined) return known
  let route = request.route
  let last = route === undefined ? undefined : routeOf(request)
  Object.defineProperty(request, 'route', {
    configurable: true,
    enumerable: true,
    get: () => route,
    set(value: ExpressRequest['route']) {
      route = value
      last = routeOf(request)
    },
  })
  const tell = () => last
  lastRoutes.set(request, tell)
  return tell
}
