// The transport without a client in between: HTTP/1.1 written to sockets, and read from them, by ourselves.
import type { Transport } from '../transport.ts'
import { DirectAttempt } from './direct-attempt.ts'
import { HttpLine } from './http-line.ts'
import { nextPhase } from './next-phase.ts'
import { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { TransportSettings } from './settings.ts'

export function directTransport(settings: TransportSettings): Transport {
  const { connections, clock } = settings
  const pools = new Pools(
    (backend) => new Pool<HttpLine>((onClosed) => new HttpLine(backend, settings, onClosed, false), connections, clock),
  )
  const inNextPhase = nextPhase()
  return {
    name: 'direct',
    send: (request, handler) =>
      new DirectAttempt(request, handler, pools.of(request.backend), settings, inNextPhase).start(),
    forget: (backend) => pools.forget(backend),
    get isIdle() {
      return pools.isIdle
    },
    close: () => pools.close(),
  }
}
