// A tunnel: what a client and a backend say to each other once they have switched protocols, passed on as it comes.
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Clock, Timer } from '../clock.ts'
import { resetSocket } from './answer.ts'

export type Side = 'client' | 'backend'

/** How a tunnel ended. */
export type TunnelEnd =
  /** The first of the two to end has ended in order. */
  | { readonly how: 'closed'; readonly by: Side }
  /** One has reset its connection, or it broke. */
  | { readonly how: 'cut'; readonly by: Side; readonly detail: string }
  | { readonly how: 'idle'; readonly by: 'balancer'; readonly detail: string }
  /** `destroyed`: the process around us has destroyed the client's connection. */
  | { readonly how: 'closing' | 'broken-off' | 'destroyed'; readonly by: 'balancer' }

export interface TunnelParts {
  readonly clock: Clock
  readonly client: Duplex
  readonly backend: Duplex
  /** What has come from each before the tunnel stood. */
  readonly early: { readonly client: readonly Buffer[]; readonly backend: Buffer }
  /** How long it may carry nothing, in ms; undefined for ever. */
  idleMs(): number | undefined
  /** Called once, when both connections are closed or about to be. */
  onEnd(end: TunnelEnd): void
}

/** After how long the system asks whether the other side of a silent connection is still there. */
const keepAliveProbeMs = 60_000

export class Tunnel {
  readonly #parts: TunnelParts
  readonly #openedUs: number
  #usedUs: number
  #timer: Timer | undefined
  /** Those that have ended their side in order, in the order in which they did. */
  readonly #ended: Side[] = []
  #open = 2
  #over = false
  /** Bytes from the client, and from the backend. */
  received = 0
  sent = 0

  constructor(parts: TunnelParts) {
    this.#parts = parts
    this.#openedUs = parts.clock.monoUs()
    this.#usedUs = this.#openedUs
  }

  /** How long it has been open, in µs. */
  get ageUs(): number {
    return this.#parts.clock.monoUs() - this.#openedUs
  }

  start(): void {
    const { client, backend, early } = this.#parts
    for (const chunk of early.client) this.#count('client', chunk, backend)
    if (early.backend.length > 0) this.#count('backend', early.backend, client)
    this.#watch('client', client, backend)
    this.#watch('backend', backend, client)
    this.watchIdle()
  }

  /** Must be called when the time that it may carry nothing has changed. */
  watchIdle(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const ms = this.#parts.idleMs()
    if (ms === undefined || this.#over) return
    const leftMs = ms - (this.#parts.clock.monoUs() - this.#usedUs) / 1000
    if (leftMs <= 0) this.#end({ how: 'idle', by: 'balancer', detail: `nothing carried within ${ms} ms` })
    else this.#timer = this.#parts.clock.after(Math.ceil(leftMs), () => this.watchIdle())
  }

  /** Cuts both connections off: because the balancer closes, or for whatever reason the caller has. */
  breakOff(how: 'closing' | 'broken-off'): void {
    this.#end({ how, by: 'balancer' })
  }

  #watch(side: Side, from: Duplex, to: Duplex): void {
    // Who has said all may still hear the rest.
    from.allowHalfOpen = true
    if ('setNoDelay' in from) {
      // Small messages must not wait for each other.
      ;(from as Socket).setNoDelay(true).setKeepAlive(true, keepAliveProbeMs)
    }
    let detail: string | undefined
    from.on('error', (error: NodeJS.ErrnoException) => {
      detail ??= error.code ?? error.message
    })
    from.on('data', (chunk: Buffer) => {
      this.#usedUs = this.#parts.clock.monoUs()
      if (!this.#count(side, chunk, to)) from.pause()
    })
    to.on('drain', () => {
      this.#usedUs = this.#parts.clock.monoUs()
      from.resume()
    })
    from.on('end', () => {
      this.#ended.push(side)
      to.end()
    })
    const closed = (): void => this.#closed(side, to, detail)
    if (from.closed) closed()
    else from.on('close', closed)
    from.resume()
  }

  #closed(side: Side, other: Duplex, detail: string | undefined): void {
    const [first] = this.#ended
    // After an orderly end of either, how the other one closes tells nothing that was not known.
    if (first === undefined) this.#end(cutBy(side, detail))
    // Nobody hears the other one any more; or it would take for whole what is not.
    else if (this.#ended.length < 2) resetSocket(other)
    this.#open--
    if (this.#open === 0) this.#end({ how: 'closed', by: first ?? side })
  }

  #count(side: Side, chunk: Buffer, to: Duplex): boolean {
    if (side === 'client') this.received += chunk.length
    else this.sent += chunk.length
    return to.writable ? to.write(chunk) : true
  }

  #end(end: TunnelEnd): void {
    if (this.#over) return
    this.#over = true
    this.#timer?.cancel()
    const { client, backend } = this.#parts
    // Neither may take for whole what is not.
    if (end.how !== 'closed') {
      resetSocket(client)
      resetSocket(backend)
    }
    this.#parts.onEnd(end)
  }
}

// Who leaves is heard: by an end, or by an error. Only who is on this side of a connection closes it without either.
function cutBy(side: Side, detail: string | undefined): TunnelEnd {
  if (detail !== undefined) return { how: 'cut', by: side, detail }
  return side === 'client'
    ? { how: 'destroyed', by: 'balancer' }
    : { how: 'cut', by: side, detail: 'the connection was destroyed' }
}

/** All tunnels of a balancer. */
export class Tunnels {
  readonly #open = new Set<Tunnel>()
  /** Requests that ask for one and are not over: each may be one of those that are open. */
  asked = 0

  /** How many are open. */
  get size(): number {
    return this.#open.size
  }

  open(parts: TunnelParts): Tunnel {
    const tunnel: Tunnel = new Tunnel({
      ...parts,
      onEnd: (end) => {
        this.#open.delete(tunnel)
        parts.onEnd(end)
      },
    })
    this.#open.add(tunnel)
    return tunnel
  }

  /** Must be called when the configuration has changed. */
  watchIdle(): void {
    for (const tunnel of [...this.#open]) tunnel.watchIdle()
  }

  /** Cuts all of them off: the balancer closes. */
  breakOff(): void {
    for (const tunnel of [...this.#open]) tunnel.breakOff('closing')
  }
}
