// Keys: the part of a request that stands for a client, or for what it asks for.
import { z } from 'zod'
import type { PickRequest } from './request.ts'

const name = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'expected a name of token characters')
const header = z.strictObject({ header: name.transform((given) => given.toLowerCase()) })
const cookie = z.strictObject({ cookie: name })
const query = z.strictObject({ query: z.string().min(1).max(128) })

/** A function of the host that tells the key; undefined where there is none. It must be quick, and must not throw. */
export type KeyFunction = (request: PickRequest) => string | undefined

/**
 * Where the key is: the address of the `client`, the `path` without its query, a header, a cookie, a parameter of the query,
 * or what a function says.
 */
export const keySchema = z.union(
  [z.enum(['client', 'path']), header, cookie, query, z.custom<KeyFunction>((value) => typeof value === 'function')],
  { error: "expected 'client', 'path', { header }, { cookie }, { query } or a function" },
)
export type KeySource = z.output<typeof keySchema>

/**
 * The key of a request; undefined where it has none, or one that is no text. Throws only what a function of the host throws.
 */
export function keyOf(request: PickRequest, source: KeySource): string | undefined {
  if (source === 'client') return textOf(request?.client?.address)
  if (source === 'path') return pathOf(request)
  if (typeof source === 'function') return answerOf(source(request))
  if ('header' in source) return headerOf(request, source.header)
  return 'cookie' in source ? cookieOf(request, source.cookie) : queryOf(request, source.query)
}

/** The value of the first cookie of this name (RFC 6265 section 4.2), as it was sent, quotes and all. */
export function cookieOf(request: PickRequest, name: string): string | undefined {
  const text = headerOf(request, 'cookie')
  if (text === undefined) return undefined
  return valueAt(text, name, ';')
}

const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

// A promise is no key, and what it rejects with must not end the process.
function answerOf(value: unknown): string | undefined {
  if (value instanceof Promise) value.catch(() => undefined)
  return textOf(value)
}

function pathOf(request: PickRequest): string | undefined {
  const path = textOf(request?.path)
  const end = path?.indexOf('?') ?? -1
  return end === -1 ? path : path!.slice(0, end)
}

// Of several the first counts: what a client adds behind what a proxy has set changes nothing.
function headerOf(request: PickRequest, name: string): string | undefined {
  const headers = request?.headers
  const value = headers && Object.hasOwn(headers, name) ? headers[name] : undefined
  return Array.isArray(value) ? textOf(value[0]) : textOf(value)
}

// As it was sent: two ways of writing one value are two keys, and nothing can be malformed.
function queryOf(request: PickRequest, name: string): string | undefined {
  const path = textOf(request?.path)
  const start = path?.indexOf('?') ?? -1
  return start === -1 ? undefined : valueAt(path!.slice(start + 1), name, '&')
}

// Of `a=1; b=2` or `a=1&b=2`: the value of the first pair of this name.
function valueAt(text: string, name: string, separator: string): string | undefined {
  let from = 0
  while (from < text.length) {
    const next = text.indexOf(separator, from)
    const end = next === -1 ? text.length : next
    while (text[from] === ' ' && from < end) from++
    if (text.startsWith(name, from) && text[from + name.length] === '=')
      return text.slice(from + name.length + 1, end).trimEnd()
    from = end + 1
  }
  return undefined
}
