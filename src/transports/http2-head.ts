// Heads of HTTP/2 out of lists of names and values, and back.
import { type OutgoingHttpHeaders, validateHeaderName, validateHeaderValue } from 'node:http'
import { authorityOf } from '../backend.ts'
import type { AttemptRequest } from '../transport.ts'

/** What is said by other means here, or not at all (RFC 9113 section 8.2.2). */
const connectionSpecific = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'te',
])

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** A path that holds nothing but what may be sent. */
const sendable = /^[\x21-\xff]+$/

/** The head of a request. Throws at what cannot be sent: at a name that is none Node would end the whole session. */
export function headOf({ backend, method, path, headers, body }: AttemptRequest): OutgoingHttpHeaders {
  if (!token.test(method)) throw new Error('a method that is no token')
  if (!sendable.test(path)) throw new Error('a path with a character that none may hold')
  const head: OutgoingHttpHeaders = Object.assign(Object.create(null), {
    ':method': method,
    ':scheme': backend.url.startsWith('https:') ? 'https' : 'http',
    ':authority': authorityOf(backend),
    ':path': path,
  })
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase()
    const value = headers[i + 1]!
    validateHeaderName(name)
    validateHeaderValue(name, value)
    if (name === 'host') head[':authority'] = value
    if (connectionSpecific.has(name) && !(name === 'te' && value === 'trailers')) continue
    const before = head[name]
    // Lines of one name are one list (RFC 9110 section 5.3), and cookies one string (RFC 9113 section 8.2.3).
    head[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
  }
  if (body instanceof Buffer) head['content-length'] ??= body.length
  return head
}

/** The fields of a head without those that begin with a colon, which come first. */
export function fieldsOf(raw: readonly string[]): string[] {
  let from = 0
  while (raw[from]?.startsWith(':') === true) from += 2
  return raw.slice(from)
}
