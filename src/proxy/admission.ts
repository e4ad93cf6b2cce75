// Whether a request may go on: all that can refuse it before a backend is looked for.
import type { IncomingMessage, Server } from 'node:http'
import type { RequestResult } from '../outcome.ts'
import { type Admitted, inspect, type Refusal, type RequestHead } from './gate.ts'
import type { Incoming } from './incoming.ts'
import type { Journal } from './journal.ts'
import { type Outgoing, outgoing } from './outgoing.ts'
import { distrustOf } from './pipelined.ts'
import type { Ports } from './ports.ts'
import type { Upgrading } from './upgrading.ts'
import type { RequestView } from './view.ts'

interface Refused {
  readonly result: Exclude<RequestResult, 'ok'>
  readonly detail?: string | undefined
}

/** Lets a request in that is well-formed and not too large. */
export function look(ports: Ports, { request, options, rawHeaders, target: original }: Incoming): Refusal | Admitted {
  const distrusted = distrustOf(request)
  if (distrusted !== undefined) return { result: 'malformed', detail: distrusted }
  const { method = '', httpVersion, stream, upgrade } = request as IncomingMessage & Partial<RequestHead>
  const { target: url = original, mounted = url !== original, body } = options
  const limits = ports.limits()
  // Node's own note of the server of a socket. For 0, no limit, the usual one is far beyond any of ours.
  const { maxHeadersCount: most } = (request.socket as { server?: Partial<Server> }).server ?? {}
  const head = {
    method,
    url,
    original,
    mounted,
    httpVersion,
    rawHeaders,
    stream,
    upgrade: upgrade === true,
    most: most || undefined,
  }
  const looked = inspect(head, ports.via, limits)
  const { bodyBytes = Number.POSITIVE_INFINITY } = limits
  if ('result' in looked || body === undefined || body.length <= bodyBytes) return looked
  return { result: 'too-large', detail: `${body.length} bytes` }
}

/** What is known of a request that was let in. */
interface Admission {
  readonly admitted: Admitted
  readonly upgrading: Upgrading | undefined
  readonly view: RequestView
}

/** What goes on of one that was let in. `onFlood` is called when its client talks in the protocol that it asks for too soon. */
export function prepare(
  ports: Ports,
  incoming: Incoming,
  { admitted, upgrading, view }: Admission,
  onFlood: (detail: string) => void,
): Refused | Outgoing {
  if (ports.closing()) return { result: 'closing' }
  const refusal = upgrading?.refusal(admitted, onFlood)
  if (refusal !== undefined) return refusal
  const consumed = incoming.options.body === undefined && incoming.request.readableDidRead
  if (admitted.body !== 'none' && consumed) return { result: 'body-consumed' }
  return outgoing(incoming, { admitted, ports, view })
}

/**
 * Records that a request came in: nothing is forwarded that was not recorded first. Resolves with why it must not go on, if it
 * must not; `over` where it has been answered meanwhile, or its client has left.
 */
export async function recordFirst(
  { log, closing }: Ports,
  journal: Journal,
): Promise<'audit-unavailable' | 'closing' | 'over' | undefined> {
  if (!log.recordable()) return 'audit-unavailable'
  try {
    await log.durable(journal.received())
  } catch {
    return 'audit-unavailable'
  }
  if (journal.result !== undefined) return 'over'
  return closing() ? 'closing' : undefined
}
