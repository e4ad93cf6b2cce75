// A request that asks for another protocol: what it is refused for, and the tunnel that it becomes.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AttemptFailure } from '../outcome.ts'
import { writeHead } from './answer.ts'
import { bindBy } from './binding.ts'
import type { Admitted } from './gate.ts'
import { RuleFault } from './header-rules.ts'
import { responseHead, without } from './headers.ts'
import type { Incoming } from './incoming.ts'
import type { Journal } from './journal.ts'
import type { Outgoing } from './outgoing.ts'
import type { Switched, Switching } from './outlet.ts'
import type { HandleOptions, Ports } from './ports.ts'
import type { Tunnel, TunnelEnd } from './tunnel.ts'
import { askedUpgrade, switchedTo } from './upgrade.ts'
import type { UpgradeSocket } from './upgrade-socket.ts'

const floods = 'it went on before the protocol was switched'

/** How a request is taken over: with itself, where it came as one for another protocol. It may still be none that it can have. */
export type Options = HandleOptions & { readonly upgrading?: Upgrading }

interface Refusal {
  readonly result: 'malformed' | 'tunnels-full'
  readonly detail: string
}

/** What is needed of the request to answer it with 101. */
interface Answering {
  readonly incoming: Incoming
  readonly journal: Journal
  readonly outgoing: Outgoing | undefined
  readonly response: ServerResponse
  /** The cookie that binds the client, if it is to be bound. */
  cookie(): string | undefined
}

export class Upgrading {
  readonly #ports: Ports
  readonly #socket: UpgradeSocket
  #counted = false
  /** What it asks for and may have; undefined where that is nothing: then it is answered as if it had not asked. */
  readonly asked: string | undefined
  /** What it has become. Read by the exchange. */
  tunnel: Tunnel | undefined

  constructor(ports: Ports, request: IncomingMessage, socket: UpgradeSocket) {
    this.#ports = ports
    this.#socket = socket
    this.asked = askedUpgrade(ports.upgrades(), request)
  }

  /** Whether somebody else has answered before us. */
  get isAnswered(): boolean {
    return this.#socket.isAnswered
  }

  /** Why it cannot go on, if it cannot; `onFlood` is called when that turns out later. */
  refusal({ body }: Admitted, onFlood: (detail: string) => void): Refusal | undefined {
    // Node has taken the body for the first bytes of another protocol.
    if (body !== 'none') return { result: 'malformed', detail: 'a request for another protocol that has a body' }
    if (this.#socket.isFlooded) return { result: 'malformed', detail: floods }
    this.#socket.onFlood = () => onFlood(floods)
    if (this.asked === undefined) return undefined
    const { tunnels, upgrades } = this.#ports
    const { maxOpen = Number.POSITIVE_INFINITY } = upgrades() ?? {}
    if (tunnels.asked >= maxOpen) return { result: 'tunnels-full', detail: `${tunnels.asked} are open or being opened` }
    tunnels.asked++
    this.#counted = true
    return undefined
  }

  /** The request is over. */
  over(): void {
    if (this.#counted) this.#ports.tunnels.asked--
    this.#counted = false
  }

  /**
   * Answers the client with 101; the tunnel is to be started. The attempt ends with it, in order or by a failure of the
   * backend or of ours; `onGone` is called where the client has reset its side. Throws where the head cannot be passed on:
   * {@link RuleFault} where that is the fault of a rule.
   */
  open(
    { incoming, journal, outgoing, response, cookie }: Answering,
    from: Switching,
    switched: Switched,
    onGone: () => void,
  ): Tunnel {
    const { clock, tunnels, upgrades } = this.#ports
    const protocol = switchedTo(this.asked ?? '', switched.headers)
    if (protocol === undefined) throw new Error('a switch to a protocol that was not asked for')
    const head = responseHead(without(switched.headers, 'content-length'), incoming.requestId, false)
    const fault = outgoing?.changeResponse(head, 101)
    if (fault !== undefined) throw new RuleFault(fault)
    const { headers } = head
    const bound = cookie()
    if (bound !== undefined) bindBy(bound, headers, response)
    headers.push('connection', 'Upgrade', 'upgrade', protocol)
    response.sendDate = false
    writeHead(response, 101, 'Switching Protocols', headers)
    response.flushHeaders()
    let inForce = upgrades()
    const tunnel = tunnels.open({
      clock,
      client: this.#socket.socket,
      backend: switched.socket,
      early: { client: this.#socket.takeFrom(response), backend: switched.head },
      idleMs() {
        // Where no more are taken, those that are open keep the time they had.
        inForce = upgrades() ?? inForce
        return inForce?.idleMs
      },
      onEnd(end) {
        const { ageUs, received, sent } = tunnel
        journal.tunnel = {
          closed_by: end.by,
          duration_us: ageUs,
          protocol,
          received_bytes: received,
          sent_bytes: sent,
        }
        if (end.how === 'closed') from.onEnd([])
        else if (end.by === 'client') onGone()
        else if (end.how !== 'broken-off') from.onFail(failureOf(end))
      },
    })
    this.tunnel = tunnel
    journal.switched(from, protocol)
    return tunnel
  }
}

function failureOf(end: Exclude<TunnelEnd, { how: 'closed' | 'broken-off' }>): AttemptFailure {
  if (end.how === 'cut') return { result: 'backend-cut', sent: true, detail: end.detail }
  if (end.how === 'idle') return { result: 'tunnel-idle', sent: true, detail: end.detail }
  const detail = end.how === 'closing' ? 'the balancer is closing' : 'the host has closed the connection'
  return { result: 'internal', sent: true, detail }
}
