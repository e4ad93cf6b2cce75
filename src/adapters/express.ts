// The adapter for Express: a middleware that hands over what reaches it, with the mount path stripped as Express does it.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Balancer } from '../face.ts'

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
 * `rawBody` if there is one, as it is if it is a Buffer or a string, and written anew if it is JSON or a form. Any other
 * body that was read is answered with 500 and the result `body-consumed`: mount the balancer before that parser.
 */
export function expressBalancer(balancer: Balancer): ExpressMiddleware {
  const { port } = balancer
  return (request, response) => {
    const body = parsedBody(request)
    port.handle(request, response, {
      target: request.url ?? '/',
      ...(request.originalUrl === undefined ? {} : { originalTarget: request.originalUrl }),
      ...(body === undefined ? {} : { body }),
    })
  }
}

function parsedBody(request: ExpressRequest): Buffer | undefined {
  const { headers, body, rawBody } = request
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  if (!hasBody || !request.readableDidRead) return undefined
  if (Buffer.isBuffer(rawBody)) return rawBody
  if (Buffer.isBuffer(body)) return body
  const type = headers['content-type'] ?? ''
  if (typeof body === 'string' && !isJson(type)) return Buffer.from(body)
  if (body === undefined) return undefined
  if (isJson(type)) return Buffer.from(JSON.stringify(body))
  if (/^application\/x-www-form-urlencoded\b/i.test(type)) return Buffer.from(formPairs(body, '').join('&'))
  return undefined
}

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
