// A probe by HTTP: one request on a connection of its own, judged by status and body.
import { type IncomingMessage, request as send } from 'node:http'
import { authorityOf, type Backend } from '../backend.ts'
import type { Dial } from '../transport.ts'
import type { HttpProbe } from './probe-options.ts'

/** How much of a body is looked at, in bytes: enough for a page of health, too little to be a burden. */
const mostBody = 65_536
/** How many 1xx responses are waited through: a backend could send them without end. */
const mostInterim = 16

/**
 * Resolves if the answer is as expected, and rejects with what is not. Redirects are answers like others. The signal ends
 * everything: the connection is destroyed, whatever it is doing.
 */
export function httpProbe(backend: Backend, config: HttpProbe, signal: AbortSignal, dial: Dial): Promise<void> {
  const { path, method, statuses, body } = config
  return new Promise((resolve, reject) => {
    const fail = (fault: string): void => reject(new Error(fault))
    const failed = (error: NodeJS.ErrnoException): void => fail(error.code ?? error.message)
    let giveUp = (): void => undefined
    const request = send({
      // Without an agent, and so without keep-alive: a probe must see whether the backend still accepts connections.
      createConnection: (_, done) => {
        giveUp = dial(backend, (error, socket) => done(error ?? null, socket))
        return undefined
      },
      path,
      method,
      headers: { 'user-agent': 'auditlb-probe', ...config.headers, host: config.host ?? authorityOf(backend) },
    })
    const judge = (response: IncomingMessage): void => {
      const status = response.statusCode ?? 0
      if (status < statuses.from || status > statuses.to) fail(`status ${status}`)
      else if (body === undefined) resolve()
      else readBody(response, body).then((fits) => (fits ? resolve() : fail('body not as expected')), failed)
    }
    let interim = 0
    // Stays for the whole life of the request: destroying it may make it fail once more.
    request.on('error', failed)
    request.on('response', judge)
    request.on('upgrade', (_, socket) => {
      // It is the request's no more, and would outlive it.
      socket.destroy()
      fail('status 101')
    })
    request.on('information', () => {
      if (++interim > mostInterim) fail('too many interim responses')
    })
    signal.addEventListener('abort', () => {
      giveUp()
      request.destroy()
    })
    request.end()
  })
}

/** Whether the body, up to its end or its first {@link mostBody} bytes, has what is expected. Rejects if it is cut off. */
function readBody(response: IncomingMessage, expected: string | RegExp): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const judge = (): void => {
      const text = Buffer.concat(chunks, Math.min(size, mostBody)).toString()
      // `search` keeps no state in the expression, whatever its flags.
      resolve(typeof expected === 'string' ? text.includes(expected) : text.search(expected) !== -1)
    }
    response.on('error', reject)
    response.on('end', judge)
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size < mostBody) return
      response.pause()
      judge()
    })
  })
}
