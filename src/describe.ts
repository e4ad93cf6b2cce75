// The configuration as records hold it: by name what has a life of its own, and no secrets.
import type { Json } from './canonical.ts'
import type { PoolConfig } from './config.ts'
import { adminOf, standingOf } from './control/standing.ts'
import type { HeaderRule } from './proxy/header-rules.ts'
import { fingerprint } from './secret.ts'
import { describeTls, withheld } from './tls.ts'

/** The configuration as records hold it: backends by id, what an operator set on them beside what was declared. */
export function describeConfig(config: PoolConfig): { readonly [key: string]: Json } {
  const { backends: list, discovery, draining, disabled, deadlines, strategy, weights, headers, ...rest } = config
  const byId = list.map(({ id, address, port, tls, ...backend }) => [
    id,
    { ...backend, ...(tls === undefined ? {} : { tls: describeTls(tls) }), ...standingOf(config, id) },
  ])
  return {
    ...(describe(rest) as { [key: string]: Json }),
    backends: Object.fromEntries(byId),
    headers: { request: headers.request.map(describeRule), response: headers.response.map(describeRule) },
    ...(discovery.length === 0 ? {} : { discovery: describe(discovery), discovered: setOnDiscovered(config) }),
    strategy:
      'pick' in strategy
        ? { custom: true, name: strategy.name }
        : { name: strategy.name, ...members(strategy.options) },
  }
}

/** A rule for headers: names as they are, and the lengths of what may hold a secret. */
function describeRule(rule: HeaderRule): Json {
  const isName = (key: string): boolean => key in { set: 0, add: 0, remove: 0, rename: 0, replace: 0 }
  const members = Object.entries(rule).map(([key, value]): [string, Json] => {
    const plain = isName(key) || (key === 'to' && 'rename' in rule)
    return [key, plain ? describe(value) : describe(value, 0, 'headers')]
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

const members = (value: unknown): { readonly [key: string]: Json } =>
  (typeof value === 'object' && value !== null ? describe(value) : {}) as { [key: string]: Json }

/** User and password in a URL. */
const userinfo = /^([A-Za-z][A-Za-z0-9+.-]*:\/\/)[^/?#]*@/
const mostDepth = 8

/**
 * Any value as a record holds it: functions, strategies and other objects with a life of their own by name, what JSON does
 * not have as text, a `secret` by its fingerprint, `tls` and whatever is PEM likewise, of a header its length, and no password
 * of a URL. `of` is the member that it stands under.
 */
export function describe(value: unknown, depth = 0, of = ''): Json {
  if (of === 'tls') return describeTls(value)
  switch (typeof value) {
    case 'string':
      if (of === 'secret') return fingerprint(value)
      if (value.includes('-----BEGIN ')) return withheld(value)
      if (of === 'headers') return { length: value.length }
      return value.replace(userinfo, '$1[removed]@').toWellFormed()
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
      if (Array.isArray(value)) return value.map((item) => describe(item, depth + 1, of))
      if (value instanceof RegExp && of === 'headers') return { length: value.source.length }
      if (value instanceof RegExp) return String(value).toWellFormed()
      return isPlain(value)
        ? Object.fromEntries(
            Object.entries(value).flatMap(([key, member]) =>
              member === undefined
                ? []
                : [[key.toWellFormed(), describe(member, depth + 1, of === 'headers' ? of : key)]],
            ),
          )
        : `[object ${value.constructor?.name ?? ''}]`
    default:
      return String(value)
  }
}

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}
