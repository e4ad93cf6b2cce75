// One active probe of any kind: what it finds, within its time, and nothing of it left behind.
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Dial } from '../transport.ts'
import { httpProbe } from './probe-http.ts'
import type { ActiveConfig } from './probe-options.ts'
import { tcpProbe } from './probe-tcp.ts'

/** How much of a reason is kept, in characters: some of it may be what a backend sent. */
const mostReason = 1024

/**
 * What is wrong with the backend, or undefined if it is as expected in time; undefined too when it was `stopped`, which says
 * nothing. Never rejects. When it has settled, whatever was under way has been told to end, and what comes late is ignored.
 */
export function probe(
  backend: Backend,
  config: ActiveConfig,
  { clock, dial }: { readonly clock: Clock; readonly dial: Dial },
  stopped: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const over = new AbortController()
    const settle = (fault: string | undefined): void => {
      timer.cancel()
      stopped.removeEventListener('abort', stop)
      resolve(fault)
      over.abort()
    }
    const stop = (): void => settle(undefined)
    const { timeoutMs } = config
    const timer = clock.after(timeoutMs, () => settle(`no answer within ${timeoutMs} ms`))
    stopped.addEventListener('abort', stop)
    // A promise of our own: a function may throw at once, or return something that only looks like a promise.
    new Promise((done) => done(start(backend, config, dial, over.signal))).then(
      () => settle(undefined),
      (error: unknown) => settle(reasonOf(error).slice(0, mostReason).toWellFormed()),
    )
  })
}

function start(backend: Backend, config: ActiveConfig, dial: Dial, signal: AbortSignal): Promise<void> | void {
  if ('probe' in config) return config.probe(backend, signal)
  const at = reachedAt(backend, config.port)
  return config.type === 'tcp' ? tcpProbe(at, signal) : httpProbe(at, config, signal, dial)
}

// Another port is one of the host, also where traffic goes by a unix socket.
const reachedAt = (backend: Backend, port: number | undefined): Backend =>
  port === undefined ? backend : { ...backend, port, socketPath: undefined }
