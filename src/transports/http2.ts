// The transport over HTTP/2: by TLS where the backend offers it (ALPN `h2`), and by prior knowledge in the clear.
import type { Transport } from '../transport.ts'
import { Http2Attempt } from './http2-attempt.ts'
import { Http2Pool } from './http2-pool.ts'
import { Pools } from './pools.ts'
import type { TransportSettings } from './settings.ts'

export function http2Transport(settings: TransportSettings): Transport {
  const pools = new Pools((backend) => new Http2Pool(backend, settings))
  return {
    name: 'http2',
    send: (request, handler) => new Http2Attempt(request, handler, pools.of(request.backend), settings).start(),
    forget: (backend) => pools.forget(backend),
    get isIdle() {
      return pools.isIdle
    },
    close: () => pools.close(),
  }
}
