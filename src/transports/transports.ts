// The transport in force: made anew when its settings change, while the old one finishes what it carries.
import { z } from 'zod'
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Transport } from '../transport.ts'
import { httpTransport } from './http.ts'
import { http2Transport } from './http2.ts'
import type { TransportSettings } from './settings.ts'
import { undiciTransport } from './undici.ts'

const makers = { undici: undiciTransport, http: httpTransport, http2: http2Transport }

export const transportSchema = z.enum(['undici', 'http', 'http2'])

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
    const stays = ({ id, url, serverName }: Backend): boolean =>
      next.backends.some((one) => one.id === id && one.url === url && one.serverName === serverName)
    const renewed =
      next.timeouts !== before.timeouts ||
      next.connections !== before.connections ||
      next.transport !== before.transport
    for (const backend of before.backends) if (renewed || !stays(backend)) this.current.forget(backend)
    if (renewed) this.#all = [...this.#all.filter((transport) => !transport.isIdle), this.#make(next)]
  }

  /** Closes every connection, also those in use. */
  async close(): Promise<void> {
    await Promise.all(this.#all.map((transport) => transport.close()))
  }

  #make({ connections, timeouts, transport }: Settings): Transport {
    const settings = { connections, timeouts, clock: this.#clock }
    const main = makers[transport](settings)
    return transport === 'http' ? main : withUpgrades(main, httpTransport(settings))
  }
}

/** What asks for another protocol goes by one transport, and everything else by another. */
const withUpgrades = (main: Transport, upgrades: Transport): Transport => ({
  name: main.name,
  send: (request, handler) => (request.upgrade === undefined ? main : upgrades).send(request, handler),
  forget: (backend) => main.forget(backend),
  get isIdle() {
    return main.isIdle && upgrades.isIdle
  },
  close: async () => {
    await Promise.all([main.close(), upgrades.close()])
  },
})
