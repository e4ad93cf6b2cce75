// One attempt by a transport, without a balancer around it, and all that it told.
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import type { z } from 'zod'
import { type Backend, backendSchema } from '../../src/backend.ts'
import { systemClock } from '../../src/clock.ts'
import type { AttemptFailure } from '../../src/outcome.ts'
import { tlsSchema } from '../../src/tls.ts'
import type { AttemptHandler, AttemptRequest, Connected, Transport } from '../../src/transport.ts'
import { connectionsSchema } from '../../src/transports/pool.ts'
import { type TransportSettings, timeoutsSchema } from '../../src/transports/settings.ts'
import { until } from './until.ts'

/** What a test says of a transport; the rest are defaults. */
export interface Said {
  readonly connections?: Partial<TransportSettings['connections']>
  readonly timeouts?: Partial<TransportSettings['timeouts']>
  readonly tls?: z.input<typeof tlsSchema>
  readonly clock?: TransportSettings['clock']
}

/** A transport, closed when the test is over. */
export function transportOf(make: (settings: TransportSettings) => Transport, said: Said = {}): Transport {
  const transport = make({
    connections: connectionsSchema.parse(said.connections ?? {}),
    timeouts: timeoutsSchema.parse(said.timeouts ?? {}),
    tls: tlsSchema.parse(said.tls ?? {}),
    clock: said.clock ?? systemClock,
  })
  onTestFinished(() => transport.close())
  return transport
}

const backendAt = (url: string): Backend => backendSchema.parse(url)

export interface Told {
  readonly backend: Backend
  connected: Connected | undefined
  readonly information: [number, string[]][]
  status: number | undefined
  reason: string | undefined
  headers: string[]
  resume: () => void
  readonly chunks: Buffer[]
  /** The body so far, as latin1. */
  readonly body: string
  trailers: string[] | undefined
  failure: AttemptFailure | undefined
  upgraded: { readonly headers: string[]; readonly socket: Duplex; readonly head: Buffer } | undefined
  /** How many ends were told. */
  ends: number
  cancel: () => void
  /** Resolves once the attempt is over. */
  over(): Promise<Told>
}

export type Asked = Partial<Omit<AttemptRequest, 'backend'>> & {
  /** What `onData` returns. Default true. */
  readonly takes?: () => boolean
  /** In place of what notes what is told. */
  readonly handler?: Partial<AttemptHandler>
}

/** Sends a request, by default `GET /` with a Host. */
export function attempt(transport: Transport, url: string | Backend, asked: Asked = {}): Told {
  const { takes = () => true, handler, ...request } = asked
  const backend = typeof url === 'string' ? backendAt(url) : url
  const told: Told = {
    backend,
    connected: undefined,
    information: [],
    status: undefined,
    reason: undefined,
    headers: [],
    resume: () => undefined,
    chunks: [],
    get body() {
      return Buffer.concat(this.chunks).toString('latin1')
    },
    trailers: undefined,
    failure: undefined,
    upgraded: undefined,
    ends: 0,
    cancel: () => undefined,
    over: async () => {
      await until(() => told.ends > 0)
      return told
    },
  }
  const { method = 'GET', body } = request
  told.cancel = transport.send(
    {
      backend,
      method,
      path: '/',
      headers: ['host', 'backend.test'],
      body: undefined,
      repeatable: body === undefined && method === 'GET',
      ...request,
    },
    {
      onConnected(facts) {
        told.connected = facts
      },
      onInformation: (status, headers) => void told.information.push([status, headers]),
      onResponse(status, reason, headers, resume) {
        Object.assign(told, { status, reason, headers, resume })
      },
      onData(chunk) {
        told.chunks.push(chunk)
        return takes()
      },
      onEnd(trailers) {
        told.ends++
        told.trailers = trailers
      },
      onFail(failure) {
        told.ends++
        told.failure = failure
      },
      onUpgrade(headers, socket, head) {
        told.ends++
        onTestFinished(() => void socket.destroy())
        told.upgraded = { headers, socket, head }
      },
      ...handler,
    },
  )
  return told
}
