// A request on its way to the backends: what all of them get, and what differs from one to the next.
import { authorityOf, type Backend } from '../backend.ts'
import { reasonOf } from '../errors.ts'
import { inOnePiece } from '../one-piece.ts'
import type { Admitted } from './gate.ts'
import { type RuleFacts, RuleFault, ruled } from './header-rules.ts'
import { type ResponseHead, strippedHead } from './headers.ts'
import type { Incoming } from './incoming.ts'
import { addOrigin } from './origin.ts'
import type { OutgoingConfig } from './outgoing-options.ts'
import { rewritten } from './path-rules.ts'
import type { Ports } from './ports.ts'
import type { RequestView } from './view.ts'

export interface OutgoingFacts {
  readonly admitted: Admitted
  readonly ports: Pick<Ports, 'outgoing' | 'ownCookie' | 'via'>
  /** The request as picks and functions of rules see it: its path is written here. */
  readonly view: RequestView
}

export interface Outgoing {
  /** Path and query, as backends are asked. */
  readonly target: string
  /** The headers for one backend: a list of its own. */
  headersFor(backend: Backend): string[]
  /** Applies the rules for responses; returns what went wrong, if something did. Never throws. */
  changeResponse(head: ResponseHead, status: number): string | undefined
}

/** The same for every attempt, by the configuration that is in force now. Never throws. */
export function outgoing(incoming: Incoming, facts: OutgoingFacts): Outgoing | Unsendable {
  const { admitted, ports, view } = facts
  const config = ports.outgoing()
  view.path = admitted.target
  view.host = admitted.host
  if (config.path.length > 0) {
    const made = rewritten(admitted.target, config.path)
    if ('result' in made) return made
    view.path = made.target
  }
  try {
    return new Sent(incoming, config, view, headersOf(incoming, config, facts))
  } catch (error) {
    if (error instanceof RuleFault) return { result: 'internal', detail: error.message }
    throw error
  }
}

/** What the rules of the user do not make a request of: the client's fault, or theirs. */
interface Unsendable {
  readonly result: 'malformed' | 'internal'
  readonly detail: string
}

class Sent implements Outgoing {
  readonly #incoming: Incoming
  readonly #config: OutgoingConfig
  readonly #view: RequestView
  /** `Host` first; empty where each backend gets its own. */
  readonly #headers: readonly string[]
  readonly target: string

  constructor(incoming: Incoming, config: OutgoingConfig, view: RequestView, headers: readonly string[]) {
    this.#incoming = incoming
    this.#config = config
    this.#view = view
    this.#headers = headers
    this.target = view.path
  }

  headersFor(backend: Backend): string[] {
    const headers = this.#headers.slice()
    if (headers[1] === '') headers[1] = authorityOf(backend)
    return headers
  }

  changeResponse(head: ResponseHead, status: number): string | undefined {
    const { response: rules } = this.#config.headers
    if (rules.length === 0) return undefined
    try {
      head.headers = ruled(head.headers, rules, () => ({ ...factsOf(this.#view, this.#incoming), status }))
      return undefined
    } catch (error) {
      return reasonOf(error)
    }
  }
}

/** One pass over what came, the rules, and what we say ourselves. Throws {@link RuleFault}. */
function headersOf(incoming: Incoming, config: OutgoingConfig, { admitted, ports, view }: OutgoingFacts): string[] {
  const { rawHeaders, request, options, said, ambient } = incoming
  const { host, forwarded } = config
  const bodyGiven = options.body !== undefined
  const kept = host === 'keep' ? admitted.host : ''
  const stripped = strippedHead(rawHeaders, {
    host: typeof host === 'object' ? host.name : kept,
    ownCookie: ports.ownCookie(),
    hasLength: admitted.body !== 'chunked' && !bodyGiven,
    decoded: bodyGiven,
    // One that writes `Forwarded` leaves these as they came.
    vouches: said?.standard === false && (forwarded === 'x-forwarded' || forwarded === 'both'),
    traced: ambient?.span !== undefined,
  })
  const rules = config.headers.request
  const headers = rules.length === 0 ? stripped.headers : ruled(stripped.headers, rules, () => factsOf(view, incoming))
  headers.push('via', stripped.via + viaOf(request.httpVersion, ports.via))
  addOrigin(headers, incoming, admitted.host, forwarded)
  headers.push('x-request-id', incoming.requestId)
  if (ambient?.span !== undefined) {
    const { traceparent, tracestate } = ambient.span
    headers.push('traceparent', traceparent)
    if (tracestate !== '') headers.push('tracestate', tracestate)
  }
  return headers
}

/** What was said last, in one piece: what is put together anew for each request costs again wherever it is looked at. */
let ownVia = { version: '', by: '', text: '' }

function viaOf(version: string, by: string): string {
  if (ownVia.version !== version || ownVia.by !== by) ownVia = { version, by, text: inOnePiece(`${version} ${by}`) }
  return ownVia.text
}

/** What functions of rules see. */
const factsOf = (view: RequestView, { requestId }: Incoming): RuleFacts => ({
  method: view.method,
  path: view.path,
  headers: view.headers,
  client: view.client,
  requestId,
})
