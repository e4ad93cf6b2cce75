// The configuration as records hold it: by name what has a life of its own, and no secrets.
import type { Json } from './canonical.ts'
import type { PoolConfig } from './config.ts'
import { adminOf, standingOf } from './control/standing.ts'
import type { HeaderRule } from './proxy/header-rules.ts'
import { isPlain, type Place, Told, withoutRefused } from './refused.ts'
import { isSecretName, type Telling } from './secret.ts'
import { describeTls } from './tls.ts'

/** The configuration as records hold it: backends by id, what an operator set on them beside what was declared. */
export function describeConfig(config: PoolConfig, telling: Telling): { readonly [key: string]: Json } {
  const { backends: list, discovery, draining, disabled, deadlines, strategy, weights, headers, ...rest } = config
  const byId = list.map(({ id, address, port, tls, ...backend }) => [
    id,
    { ...backend, ...(tls === undefined ? {} : { tls: describeTls(tls, telling) }), ...standingOf(config, id) },
  ])
  const ruled = (rule: HeaderRule): Json => describeRule(rule, telling)
  return {
    ...(describe(rest, telling) as { [key: string]: Json }),
    backends: Object.fromEntries(byId),
    headers: { request: headers.request.map(ruled), response: headers.response.map(ruled) },
    ...(discovery.length === 0 ? {} : { discovery: describe(discovery, telling), discovered: setOnDiscovered(config) }),
    strategy:
      'pick' in strategy
        ? { custom: true, name: strategy.name }
        : { name: strategy.name, ...members(strategy.options, telling) },
  }
}

/** A rule for headers: names as they are, and the lengths of what may hold a secret. */
function describeRule(rule: HeaderRule, telling: Telling): Json {
  const isName = (key: string): boolean => key in { set: 0, add: 0, remove: 0, rename: 0, replace: 0 }
  const members = Object.entries(rule).map(([key, value]): [string, Json] => {
    const plain = isName(key) || (key === 'to' && 'rename' in rule)
    return [key, plain ? describe(value, telling) : describe(value, telling, 0, 'headers')]
  })
  return Object.fromEntries(members)
}

/** What operators have set on backends that discovery found, by id. */
function setOnDiscovered(config: PoolConfig): Json {
  const { backends: list, draining, disabled, weights } = config
  const ids = new Set([...draining, ...disabled, ...Object.keys(weights)])
  for (const { id } of list) ids.delete(id)
  const set = [...ids].sort().map((id): [string, Json] => [
    id,
    {
      ...(adminOf(config, id) === 'ready' ? {} : standingOf(config, id)),
      ...(Object.hasOwn(weights, id) ? { weight: weights[id] } : {}),
    },
  ])
  return Object.fromEntries(set)
}

const members = (value: unknown, telling: Telling): { readonly [key: string]: Json } =>
  (typeof value === 'object' && value !== null ? describe(value, telling) : {}) as { [key: string]: Json }

const mostDepth = 8

/**
 * Any value as a record holds it: functions, strategies and other objects with a life of their own by name, what JSON does
 * not have as text; and withheld a secret, `tls`, whatever is PEM, the value of a header, and what of a URL is none of
 * anybody's business. `of` is the member that it stands under.
 */
export function describe(value: unknown, telling: Telling, depth = 0, of = ''): Json {
  if (value instanceof Told) return value.json
  if (of === 'tls') return describeTls(value, telling)
  switch (typeof value) {
    case 'string':
      if (of === 'headers' || isSecretName(of) || value.includes('-----BEGIN ')) return telling.secret(value)
      return telling.text(value.toWellFormed())
    case 'boolean':
      return value
    case 'number':
      return Number.isSafeInteger(value) ? value : String(value)
    case 'function':
      return `[function ${value.name}]`
    case 'object':
      if (value === null) return null
      if ('pick' in value) return { custom: true, name: String((value as { name?: unknown }).name).toWellFormed() }
      if (depth === mostDepth) return '[too deep]'
      if (Symbol.asyncIterator in value) return '[async iterable]'
      if (Array.isArray(value)) return value.map((item) => describe(item, telling, depth + 1, of))
      if (value instanceof RegExp && of === 'headers') return telling.secret(value.source)
      if (value instanceof RegExp) return String(value).toWellFormed()
      return isPlain(value)
        ? Object.fromEntries(
            Object.entries(value).flatMap(([key, member]) =>
              member === undefined
                ? []
                : [[key.toWellFormed(), describe(member, telling, depth + 1, hides(of) ? of : key)]],
            ),
          )
        : `[object ${value.constructor?.name ?? ''}]`
    default:
      return String(value)
  }
}

/** What was to be a configuration, with what the schema did not accept at these places by its kind and length. */
export const describeGiven = (value: unknown, refused: readonly Place[], telling: Telling): Json =>
  describe(withoutRefused(value, refused, telling), telling)

/** Whether all that stands below a member of this name is withheld. */
const hides = (of: string): boolean => of === 'headers' || isSecretName(of)
