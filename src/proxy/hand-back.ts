// A request that failed before its response began, handed back to a host that answers such by itself.
import type { ServerResponse } from 'node:http'
import { BalancerError } from '../errors.ts'
import type { RequestResult } from '../outcome.ts'
import { drain } from './body.ts'
import type { Incoming } from './incoming.ts'
import { countSent } from './observe.ts'

/**
 * Hands it back. `close`: its connection must not be used again. Returns what tells how many bytes of an answer the host has
 * written, or undefined where the answer is left to us.
 */
export function handBack(
  { request, options, requestId }: Incoming,
  response: ServerResponse,
  { result, detail, close }: { result: Exclude<RequestResult, 'ok'>; detail: string | undefined; close: boolean },
): (() => number) | undefined {
  if (options.onFail === undefined) return undefined
  response.setHeader('x-request-id', requestId)
  // Node sends `Connection: close` for it, whatever headers the host takes off.
  if (close) response.shouldKeepAlive = false
  response.once('prefinish', () => drain(request))
  const size = countSent(response)
  try {
    // The detail names things of the inside, and hosts show messages to clients.
    options.onFail(new BalancerError(result, undefined, { cause: detail, requestId }))
    return size
  } catch {
    return undefined
  }
}
