// Trailers of a response: which of them may go on.
import { trailersOf } from './headers.ts'

/**
 * Fields that decide how a message is taken, before it was read: behind the body they come too late, or at odds with the head
 * (RFC 9110 section 6.5.1). Those of framing, routing and the connection are taken off with the other hop-by-hop fields.
 */
const neverTrailing = new Set([
  'age',
  'authorization',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'date',
  'expires',
  'location',
  'max-forwards',
  'pragma',
  'range',
  'retry-after',
  'set-cookie',
  'vary',
  'www-authenticate',
])

export const sendableTrailers = (raw: readonly string[]): [string, string][] =>
  trailersOf(raw).filter(([name]) => !neverTrailing.has(name.toLowerCase()))
