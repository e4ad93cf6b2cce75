// One active probe: a GET on a connection of its own, judged by its status.
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { authorityOf, type Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'

export interface ProbeOptions {
  readonly path: string
  readonly timeoutMs: number
  readonly statuses: { readonly from: number; readonly to: number }
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** What is wrong with the backend, or undefined if it answered as expected in time. Never rejects. */
export function probe(backend: Backend, options: ProbeOptions): Promise<string | undefined> {
  const { path, timeoutMs, statuses, clock, signal } = options
  const send = backend.url.startsWith('https:') ? httpsRequest : httpRequest
  return new Promise((resolve) => {
    // No keep-alive: a probe must see whether the backend still accepts connections.
    const request = send(`${backend.url}${path}`, {
      agent: false,
      signal,
      ...(backend.serverName === undefined ? {} : { servername: backend.serverName }),
      headers: { host: authorityOf(backend), 'user-agent': 'auditlb-probe' },
    })
    const timer = clock.after(timeoutMs, () => settle(`no answer within ${timeoutMs} ms`))
    const settle = (fault: string | undefined): void => {
      timer.cancel()
      resolve(fault)
      request.destroy()
    }
    // Stays for the whole life of the request: destroying it may make it fail once more.
    request.on('error', (error: NodeJS.ErrnoException) => settle(error.code ?? error.message))
    request.on('response', (response) => {
      const status = response.statusCode ?? 0
      settle(status >= statuses.from && status <= statuses.to ? undefined : `status ${status}`)
    })
    request.end()
  })
}
