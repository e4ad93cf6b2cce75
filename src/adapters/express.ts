// The adapter for Express: a middleware that hands over what reaches it, with the mount path stripped as Express does it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Balancer } from '../face.ts'
import { contained } from './shared/escapes.ts'

/** What of an Express request the middleware looks at. */
export interface ExpressRequest extends IncomingMessage {
  readonly originalUrl?: string
  readonly body?: unknown
  /** The body as it came, where the host keeps it (`express.json({ verify })`): it is sent on unchanged. */
  readonly rawBody?: unknown
}

export type ExpressMiddleware = (
  request: ExpressRequest,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void

/**
 * Answers every request that reaches it; `next` is never called. A body that a parser has read before is sent on: as
 * `rawBody` if there is one, as it is if it is a Buffer or a text, and written anew, in UTF-8, if it is JSON or a form. Any
 * other body that was read is answered with 500 and the result `body-consumed`: mount the balancer before that parser.
 */
export function expressBalancer(balancer: Balancer): ExpressMiddleware {
  const { port } = balancer
  return (request, response) => {
    const body = parsedBody(request)
    const target = request.url ?? '/'
    const { originalUrl } = request
    port.handle(request, response, {
      target: contained(target, originalUrl),
      ...(originalUrl === undefined ? {} : { originalTarget: originalUrl }),
      ...(body === undefined ? {} : { body }),
    })
  }
}

/** The body to send on, where something has read it; undefined where it cannot be written anew: that is answered, and recorded. */
function parsedBody(request: ExpressRequest): Buffer | undefined {
  try {
    return writtenBody(request)
  } catch {
    // Nested deeper than can be written, or not of JSON at all: a parser's reviver may make anything.
    return undefined
  }
}

function writtenBody(request: ExpressRequest): Buffer | undefined {
  const { headers, body, rawBody } = request
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  if (!hasBody) return undefined
  // Read to its end without a byte: a chunked body that is empty, which a parser may have made `{}` of.
  if (!request.readableDidRead) return request.readableEnded ? Buffer.alloc(0) : undefined
  if (Buffer.isBuffer(rawBody)) return rawBody
  if (Buffer.isBuffer(body)) return body
  const type = headers['content-type'] ?? ''
  // What is written here is UTF-8: under another charset the backend would read another text.
  if (body === undefined || !isUtf8(type)) return undefined
  if (typeof body === 'string') return textBody(body, headers)
  if (isJson(type)) return Buffer.from(JSON.stringify(body))
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return Buffer.from(formPairs(body, '').join('&'))
  return undefined
}

/** A text as it came. Under a JSON type it may be a value instead, which is shorter than what came by its quotes. */
function textBody(text: string, headers: IncomingMessage['headers']): Buffer | undefined {
  const bytes = Buffer.from(text)
  if (!isJson(headers['content-type'] ?? '')) return bytes
  const length = headers['content-length']
  // Without the length of what came it cannot be told which of the two it is.
  if (length === undefined || headers['content-encoding'] !== undefined) return undefined
  return bytes.length === Number(length) ? bytes : Buffer.from(JSON.stringify(text))
}

const isUtf8 = (type: string): boolean =>
  [...type.matchAll(/charset\s*=\s*"?([^\s;"]*)/gi)].every(([, name]) => /^(?:utf-?8|us-ascii)$/i.test(name!))

const isJson = (type: string): boolean => /^application\/(json|[^;\s]+\+json)\b/i.test(type)

/**
 * A form in the notation that Express's parser reads: `a[b]=c`; a list of texts as HTML has it, by repeating the name, any
 * other list by index. Line breaks are escaped with all the rest.
 */
function formPairs(value: unknown, name: string): string[] {
  if (typeof value !== 'object' || value === null) return [`${name}=${encodeURIComponent(String(value ?? ''))}`]
  if (Array.isArray(value) && value.length > 1 && value.every((member) => typeof member === 'string'))
    return value.flatMap((member) => formPairs(member, name))
  return Object.entries(value).flatMap(([key, member]) => {
    const part = encodeURIComponent(key)
    return formPairs(member, name === '' ? part : `${name}%5B${part}%5D`)
  })
}
