// What Node's parser can make nothing of ends the connection, and with it the requests that are open on it: what they ended by.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { RequestResult } from '../outcome.ts'

export interface Breach {
  readonly result: Extract<RequestResult, 'malformed' | 'client-timeout' | 'headers-too-large'>
  readonly detail: string
  /** What was answered in the place of the response whose turn it was, if something was. */
  readonly status: number | undefined
}

const breaches = new WeakMap<Duplex, Breach>()

/** Must be called before the connection closes. Of several breaches the first counts. */
export function breach(socket: Duplex, what: Breach): void {
  if (!breaches.has(socket)) breaches.set(socket, what)
}

/** That of the connection of this request. */
export const breachOf = (request: IncomingMessage): Breach | undefined => breaches.get(request.socket)
