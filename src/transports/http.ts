// The transport over `node:http`: Node's own client, on connections that are ours. It also carries what switches protocols.
import type { AttemptHandler, AttemptRequest, Cancel, Transport } from '../transport.ts'
import { HttpAttempt } from './http-attempt.ts'
import { HttpLine } from './http-line.ts'
import { nextPhase } from './next-phase.ts'
import { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { TransportSettings } from './settings.ts'
import { Singles } from './singles.ts'

export function httpTransport(settings: TransportSettings): Transport {
  const { connections, clock } = settings
  const pools = new Pools(
    (backend) => new Pool<HttpLine>((onClosed) => new HttpLine(backend, settings, onClosed, true), connections, clock),
  )
  // A connection that becomes another protocol's never comes back: it is no part of a pool.
  const singles = new Singles()
  const inNextPhase = nextPhase()
  const send = (request: AttemptRequest, handler: AttemptHandler): Cancel => {
    const lines =
      request.upgrade === undefined
        ? pools.of(request.backend)
        : singles.of(() => new HttpLine(request.backend, settings, () => undefined, true))
    return new HttpAttempt(request, handler, lines, settings, inNextPhase).start()
  }
  return {
    name: 'http',
    send,
    forget: (backend) => pools.forget(backend),
    get isIdle() {
      return pools.isIdle && singles.isEmpty
    },
    close: async () => {
      await Promise.all([pools.close(), singles.close()])
    },
  }
}
