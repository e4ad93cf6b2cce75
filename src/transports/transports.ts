// The transport in force: made anew when its settings change, while the old one finishes what it carries.
import { z } from 'zod'
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { AttemptRequest, Dial, Transport } from '../transport.ts'
import { dial } from './dial.ts'
import { directTransport } from './direct.ts'
import { httpTransport } from './http.ts'
import { http2Transport } from './http2.ts'
import { wayOf } from './pools.ts'
import type { TransportSettings } from './settings.ts'
import { isWatched } from './trace-once.ts'
import { undiciTransport } from './undici.ts'

const makers = { direct: directTransport, undici: undiciTransport, http: httpTransport, http2: http2Transport }

export const transportSchema = z.enum(['direct', 'undici', 'http', 'http2'])

interface Settings extends Omit<TransportSettings, 'clock'> {
  readonly backends: readonly Backend[]
  readonly transport: z.output<typeof transportSchema>
}

export class Transports {
  readonly #clock: Clock
  /** All that may still carry something; the last one is in force. */
  #all: Transport[]
  #settings: Settings

  constructor(settings: Settings, clock: Clock) {
    this.#clock = clock
    this.#settings = settings
    this.#all = [this.#make(settings)]
  }

  get current(): Transport {
    return this.#all[this.#all.length - 1]!
  }

  /** Takes new settings over. Idle connections by old settings, and to backends that left, are closed. */
  apply(next: Settings): void {
    const before = this.#settings
    this.#settings = next
    const renewed =
      next.timeouts !== before.timeouts ||
      next.connections !== before.connections ||
      next.tls !== before.tls ||
      next.transport !== before.transport
    const present = new Set(next.backends)
    const replaced = before.backends.filter((backend) => renewed || !present.has(backend))
    const ways = new Set(renewed || replaced.length === 0 ? [] : next.backends.map(wayOf))
    for (const backend of replaced) if (!ways.has(wayOf(backend))) this.current.forget(backend)
    if (renewed) this.#all = [...this.#all.filter((transport) => !transport.isIdle), this.#make(next)]
  }

  /** Connects as the traffic over HTTP/1.1 does, for who is not of it. */
  readonly dial: Dial = (backend, settle) => {
    const { timeouts, tls } = this.#settings
    const options = { clock: this.#clock, connectMs: timeouts.connectMs, protocols: ['http/1.1'], tls }
    return dial(backend, options, settle)
  }

  /** Closes every connection, also those in use. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((transport) => transport.close()))
  }

  #make({ connections, timeouts, tls, transport }: Settings): Transport {
    const settings = { connections, timeouts, tls, clock: this.#clock }
    const main = makers[transport](settings)
    if (transport === 'http') return main
    const all = divided(main, httpTransport(settings), ({ upgrade }) => upgrade !== undefined)
    return transport === 'direct' ? divided(all, undiciTransport(settings), isWatched) : all
  }
}

/**
 * Two transports as one: what asks for another protocol goes by one that can hand its connection over; and what somebody
 * traces by the events of undici goes by undici, for nobody would see it elsewhere.
 */
const divided = (main: Transport, other: Transport, goesByOther: (request: AttemptRequest) => boolean): Transport => ({
  name: main.name,
  send: (request, handler) => (goesByOther(request) ? other : main).send(request, handler),
  forget: (backend) => {
    main.forget(backend)
    other.forget(backend)
  },
  get isIdle() {
    return main.isIdle && other.isIdle
  },
  close: async () => {
    await Promise.all([main.close(), other.close()])
  },
})
