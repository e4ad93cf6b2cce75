// The cookie that binds a client, in the heads that pass: set for the client, and taken off for the backend.
import type { ServerResponse } from 'node:http'

/** What a shared cache keeps to (RFC 9111 section 5.2.2); with names of fields `private` is about those only. */
const unshared = /(?:^|,)\s*(?:private|no-store)\s*(?:,|$)/i

/**
 * Adds the cookie to the head of a response, beside all others. A shared cache would bind everybody to one backend if it
 * stored that: `Set-Cookie` by itself keeps none from storing (RFC 9111 section 7.3), `private` does. What the backend says
 * of caching stays; where it says nothing, what the host has set before.
 */
export function bindBy(cookie: string, headers: string[], response: ServerResponse): void {
  headers.push('set-cookie', cookie)
  const said = headers.filter((_, i) => i % 2 === 1 && headers[i - 1]!.toLowerCase() === 'cache-control')
  if (said.length === 0) {
    const before = [response.getHeader('cache-control') ?? []].flat().map(String)
    for (const value of before) headers.push('cache-control', value)
    said.push(...before)
  }
  if (!said.some((value) => unshared.test(value))) headers.push('cache-control', 'private')
}

/** The value of a `Cookie` field without the cookies of this name, all others as they were; empty if none is left. */
export function withoutCookie(value: string, name: string): string {
  if (!value.includes(name)) return value
  const isOther = (pair: string): boolean => !pair.trimStart().startsWith(`${name}=`)
  const pairs = value.split(';')
  return pairs.every(isOther) ? value : pairs.filter(isOther).join(';').trim()
}
