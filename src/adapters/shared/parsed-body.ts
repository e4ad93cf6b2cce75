// The body of a request that a parser has read before the balancer got it, as the bytes to send on.
import type { IncomingMessage } from 'node:http'

/** A request, and what parsers leave on it. */
export interface ParsedRequest extends IncomingMessage {
  readonly body?: unknown
  /** The body as it came, where the host keeps it (`express.json({ verify })`): it is sent on unchanged. */
  readonly rawBody?: unknown
  /** Set by body-parser 1 once it begins to read. */
  readonly _body?: unknown
}

/** The body to send on, where something has read it; undefined where it cannot be written anew: that is answered, and recorded. */
export function parsedBody(request: ParsedRequest): Buffer | undefined {
  try {
    return writtenBody(request)
  } catch {
    // Nested deeper than can be written, or not of JSON at all: a parser's reviver may make anything.
    return undefined
  }
}

function writtenBody(request: ParsedRequest): Buffer | undefined {
  const { headers, body, rawBody } = request
  const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
  if (!hasBody) return undefined
  // Read to its end without a byte: a chunked body that is empty, which a parser may have made `{}` of.
  if (!request.readableDidRead) return request.readableEnded ? Buffer.alloc(0) : undefined
  if (Buffer.isBuffer(rawBody)) return rawBody
  // A parser that gave up has left the rest unread.
  if (!request.readableEnded) return undefined
  if (Buffer.isBuffer(body)) return body
  const type = headers['content-type'] ?? ''
  // What is written here is UTF-8: under another charset the backend would read another text.
  if (body === undefined || !isUtf8(type)) return undefined
  if (typeof body === 'string') return textBody(body, headers)
  if (mayHaveFailed(request)) return undefined
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

/**
 * body-parser 1 (Express 4) leaves `{}` where it failed. An app that goes on all the same has that in its hands, and of an empty
 * object it can be told only where two bytes came.
 */
function mayHaveFailed({ _body, body, headers }: ParsedRequest): boolean {
  if (_body !== true || typeof body !== 'object' || body === null || Object.keys(body).length > 0) return false
  return !Array.isArray(body) && (headers['content-length'] !== '2' || headers['content-encoding'] !== undefined)
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
