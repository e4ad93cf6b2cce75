// Where a balancer is mounted in an app, read as the router of the app reads it.
import type { FastifyInstance } from 'fastify'

export interface Mount {
  /** The target for the backend: what follows the prefix, as a path. `/api?x` under `/api` is `/?x`. */
  target(url: string): string
  /** Whether a target lies below the prefix. */
  holds(url: string): boolean
}

/**
 * The prefix is counted in segments, for one may be a parameter, and an authority is no part of the path. What takes its place
 * for the backend is `rewritten`.
 */
export function mountOf(app: FastifyInstance, rewritten: string): Mount {
  // Options of the router stand at the top, or together in one option, whose type is not complete.
  const router: Record<string, unknown> = { ...app.initialConfig, ...app.initialConfig.routerOptions }
  const slash = router.ignoreDuplicateSlashes === true ? '/+' : '/'
  const ends = router.useSemicolonDelimiter === true ? '/?;' : '/?'
  const segments = app.prefix.replace(/\/$/, '').split('/').slice(1)
  const stripped = new RegExp(`^(?:${slash}[^${ends}]*){${segments.length}}`)
  const named = segments.map((one) => `${slash}${/[:*]/.test(one) ? `[^${ends}]+` : one.replace(special, '\\$&')}`)
  const below = new RegExp(`^${named.join('')}(?:[${ends}]|$)`, router.caseSensitive === false ? 'i' : '')
  return {
    target(url) {
      const [, authority, path] = whole.exec(url) ?? []
      // Neither a path nor a URL: the gate refuses it.
      if (path === undefined) return url
      const rest = path.replace(stripped, '')
      return `${authority ?? ''}${rewritten}${rest.startsWith('/') ? '' : '/'}${rest}`
    },
    holds: (url) => below.test(decoded(whole.exec(url)?.[2] ?? url)),
  }
}

/** An authority, and what follows it. */
const whole = /^(https?:\/\/[^/?]+)?((?:[/?].*)?)$/is

/** What has a meaning in an expression. */
const special = /[\\^$.|?*+()[\]{}]/g

function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    // The router refuses it.
    return ''
  }
}
