// The key of a request: what of it is hashed.
import { z } from 'zod'
import type { PickRequest } from '../../request.ts'
import { murmur3 } from './murmur3.ts'

/** A token of RFC 9110 section 5.6.2: what headers and cookies may be called. */
const token = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'expected a name as headers and cookies have it')

type KeyFunction = (request: PickRequest) => string | undefined

export const keySchema = z.union(
  [
    z.enum(['path', 'client']),
    z.strictObject({
      /** The header, in any case. Of several the first that is not empty counts. */
      header: token.transform((name) => name.toLowerCase()),
    }),
    z.strictObject({
      /** The cookie, as it stands in `Cookie`. Of several the first counts. */
      cookie: token,
    }),
    z.strictObject({
      /** The parameter of the query, name and value as they stand in the path. Of several the first counts. */
      query: z.string().regex(/^[^&=#]{1,128}$/, 'expected the name of a parameter, without & = #'),
    }),
    z.custom<KeyFunction>((value) => typeof value === 'function'),
  ],
  {
    error: "expected 'path', 'client', { header }, { cookie }, { query } or a function (request) => text",
  },
)

type Key = z.output<typeof keySchema>

/** The hash of a request's key as a signed 32-bit integer, or undefined where the request has none. */
export type KeyHash = (request: PickRequest) => number | undefined

/** One seed for all keys: a key has one hash, whatever it was read from. */
const seed = 0

/**
 * Reads a key. One that is absent or empty is none. Nothing that a client sends makes it throw, and the built-in keys
 * allocate nothing: they are hashed where they stand.
 */
export function keyHash(key: Key): KeyHash {
  if (key === 'path') return ({ path }) => (typeof path === 'string' ? hashed(path, 0, startOfQuery(path)) : undefined)
  if (key === 'client')
    return ({ client }) => {
      const address: unknown = client?.address
      return typeof address === 'string' ? hashed(address, 0, address.length) : undefined
    }
  if (typeof key === 'function') return (request) => ofFunction(key(request))
  if ('header' in key) return ({ headers }) => inEach(headers?.[key.header], key.header, whole)
  if ('cookie' in key) return ({ headers }) => inEach(headers?.cookie, key.cookie, cookie)
  return ({ path }) => (typeof path === 'string' ? query(path, key.query) : undefined)
}

const hashed = (text: string, from: number, to: number): number | undefined =>
  from < to ? murmur3(text, seed, from, to) : undefined

function ofFunction(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return hashed(value, 0, value.length)
  throw new TypeError(`the key function returned a ${typeof value}: expected text, or undefined for no key`)
}

type Reader = (text: string, name: string) => number | undefined

const whole: Reader = (text) => hashed(text, 0, text.length)

/** The first key that is found in the values of a header. */
function inEach(values: unknown, name: string, read: Reader): number | undefined {
  if (typeof values === 'string') return read(values, name)
  if (!Array.isArray(values)) return undefined
  for (const value of values) {
    const hash = typeof value === 'string' ? read(value, name) : undefined
    if (hash !== undefined) return hash
  }
  return undefined
}

/** Pairs as RFC 6265 section 4.2.1 has them, and with any blanks around them. */
function cookie(text: string, name: string): number | undefined {
  for (let from = 0; from < text.length; ) {
    const semicolon = text.indexOf(';', from)
    let to = semicolon === -1 ? text.length : semicolon
    const next = to + 1
    while (from < to && isBlank(text, from)) from++
    while (from < to && isBlank(text, to - 1)) to--
    const value = valueAt(text, name, from, to)
    if (value !== -1) return hashed(text, value, to)
    from = next
  }
  return undefined
}

function query(path: string, name: string): number | undefined {
  const hash = path.indexOf('#')
  const end = hash === -1 ? path.length : hash
  for (let from = startOfQuery(path) + 1; from < end; ) {
    const ampersand = path.indexOf('&', from)
    const to = ampersand === -1 || ampersand > end ? end : ampersand
    const value = valueAt(path, name, from, to)
    if (value !== -1) return hashed(path, value, to)
    from = to + 1
  }
  return undefined
}

function startOfQuery(path: string): number {
  const mark = path.indexOf('?')
  return mark === -1 ? path.length : mark
}

/** Where the value of `name=value` begins, or -1 if what stands here is another pair. */
function valueAt(text: string, name: string, from: number, to: number): number {
  const equals = from + name.length
  return equals < to && text.charCodeAt(equals) === 0x3d && text.startsWith(name, from) ? equals + 1 : -1
}

const isBlank = (text: string, at: number): boolean => text.charCodeAt(at) === 0x20 || text.charCodeAt(at) === 0x09
