// The transport without a client in between: HTTP/1.1 written to sockets, and read from them, by ourselves.
import { afterTurn } from '../clock.ts'
import type { Transport } from '../transport.ts'
import { DirectAttempt, type InNextPhase } from './direct-attempt.ts'
import { HttpLine } from './http-line.ts'
import { Pool } from './pool.ts'
import { Pools } from './pools.ts'
import type { TransportSettings } from './settings.ts'

export function directTransport(settings: TransportSettings): Transport {
  const { connections, clock } = settings
  const pools = new Pools(
    (backend) => new Pool<HttpLine>((onClosed) => new HttpLine(backend, settings, onClosed), connections, clock),
  )
  const inNextPhase = phases()
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

/** One wait for the next phase serves all that begin in this one. */
function phases(): InNextPhase {
  let waiting: { write(): void }[] = []
  const writeAll = (): void => {
    const all = waiting
    waiting = []
    for (const one of all) one.write()
  }
  return (one) => {
    if (waiting.push(one) === 1) afterTurn(writeAll)
  }
}
