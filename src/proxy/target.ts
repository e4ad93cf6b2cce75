// The request target and the other names at the head of a request: what they may be made of.

const token = /^[\w!#$%&'*+.^`|~-]+$/

/** Whether this can be a method or the name of a header (RFC 9110 section 5.6.2). */
export const isToken = (text: string): boolean => token.test(text)

/**
 * What a host and port can be (RFC 3986 section 3.2.2), user information left out: an address in brackets or a name, which may
 * be empty.
 */
export const hostAndPort = /^(?:\[[0-9A-Fa-f:.]+\]|[\w.~%!$&'()*+,;=-]*)(?::\d{0,5})?$/

// No target holds anything but visible ASCII, nor a fragment (RFC 9112 section 3.2). Many take a backslash for a slash.
const badTarget = /[^\x21-\x7e]|[#\\]/

export interface Target {
  /** Path and query in origin form. */
  readonly target: string
  /** Of a target in absolute form. */
  readonly authority?: string
}

/** Reads a target in origin form or in absolute form (RFC 9112 section 3.2); a text says why it is neither. */
export function readTarget(url: string, method: string): Target | string {
  if (badTarget.test(url)) return 'a request target with a character that none may hold'
  if (url.startsWith('/')) return { target: url }
  // It asks of a server as a whole, and here are many.
  if (url === '*') return 'the asterisk, which names no resource'
  const [, authority, path, query = ''] = /^https?:\/\/([^/?@]+)(\/[^?]*)?(\?.*)?$/i.exec(url) ?? []
  if (authority === undefined || !hostAndPort.test(authority) || /^:|^$/.test(authority))
    return 'a request target that is neither a path nor a URL'
  // This would be the asterisk for whom it names (RFC 9112 section 3.2.4).
  if (method === 'OPTIONS' && path === undefined && query === '') return 'the asterisk, which names no resource'
  return { target: `${path ?? '/'}${query}`, authority }
}

/** A segment `.` or `..` of the path, as any backend may read one: with escapes, backslashes, or parameters behind it. */
const dotSegment = /^[^?]*(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|%3b|$)/i

/** Whether a backend would resolve a target below a mount to something that may lie outside it. */
export const escapesMount = (target: string): boolean => dotSegment.test(target)
