// Smuggling: whatever a client sends, a backend sees at most the requests that there are beyond doubt, each well-formed; after
// a refusal the connection is closed; and every request has its line.
import { createServer as createNetServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createServer } from '../../src/adapters/node.ts'
import type { BalancerOptions } from '../../src/config.ts'
import { http2Backend } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { rawClient } from '../support/raw-client.ts'
import { type Attack, families } from '../support/smuggling.ts'
import { readStrictly, type StrictReading } from '../support/strict-parser.ts'
import { until } from '../support/until.ts'

interface StrictBackend {
  readonly url: string
  readonly read: () => readonly StrictReading[]
}

/** Answers each request that is whole; what came in on all connections is kept. */
async function strictBackend(): Promise<StrictBackend> {
  const received: string[] = []
  const server = createNetServer((socket) => {
    const place = received.push('') - 1
    let answered = 0
    socket.setEncoding('latin1').on('data', (text: string) => {
      received[place] += text
      for (const { method } of readStrictly(received[place]!).requests.slice(answered)) {
        answered++
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n${method === 'HEAD' ? '' : 'ok'}`)
      }
    })
  })
  closeAfterTest(server)
  return { url: `http://127.0.0.1:${await listen(server)}`, read: () => received.map(readStrictly) }
}

/** The same over HTTP/2: what Node's own parser of it does not refuse is held against the length that was told. */
async function strictBackend2(): Promise<StrictBackend> {
  const readings: StrictReading[] = []
  const { url, server } = await http2Backend(() => undefined)
  server.on('stream', (stream, headers) => {
    const method = String(headers[':method'])
    const target = String(headers[':path'])
    const place = readings.push({ requests: [], heads: [target], fault: undefined }) - 1
    const told = headers['content-length']
    let body = ''
    stream.on('error', () => undefined)
    stream.setEncoding('latin1').on('data', (text: string) => {
      body += text
    })
    stream.on('end', () => {
      if (stream.aborted) return
      const fault = told === undefined || Number(told) === body.length ? undefined : `Content-Length ${told}`
      readings[place] = { requests: [{ method, target, body }], heads: [target], fault }
      stream.respond({ ':status': 200, 'content-length': 2 })
      stream.end('ok')
    })
  })
  return { url, read: () => readings }
}

/** The ways to a backend that it holds for. */
const transports: Readonly<Record<string, Partial<BalancerOptions>>> = {
  direct: {},
  undici: { transport: 'undici' },
  http: { transport: 'http' },
  http2: { transport: 'http2' },
}

/** Sends it, waits until its connection is over, and lists all that is wrong with what became of it. */
async function complaints({ text, fate }: Attack, options: Partial<BalancerOptions>): Promise<string[]> {
  const backend = await (options.transport === 'http2' ? strictBackend2() : strictBackend())
  // What is incomplete is waited for, but not for long.
  const { balancer, completions, denials } = recorded({
    ...options,
    backends: [backend.url],
    timeouts: { requestIdleMs: 300 },
  })
  const server = createServer(balancer, { connectionsCheckingInterval: 50 })
  const sockets = closeAfterTest(server)
  const client = await rawClient(await listen(server), text)
  let over = false
  const ended = client.ended.then(() => {
    over = true
  })
  // From when all that there is has been read on: many come at once, and a head that is on its way is not incomplete.
  await until(() => over || [...sockets].some(({ bytesRead }) => bytesRead >= text.length))
  server.headersTimeout = 300
  await ended
  await until(() => balancer.snapshot().inFlight === 0)

  const wrong: string[] = []
  const hold = (holds: boolean, what: string): void => void (holds || wrong.push(what))
  const readings = backend.read()
  const heads = readings.flatMap((reading) => reading.heads)
  const smuggled = heads.filter((target) => target === '/smuggled').length
  const statuses = [...client.text().matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status!)
  const lines = completions().map(({ url, lb }) => `${url.path} ${lb.result}`)
  const told = `${statuses.join()} · ${heads.join()} · ${lines.join()} · ${denials().map(({ access }) => access.detail)}`

  for (const { fault } of readings) hold(fault === undefined, `not well-formed at the backend: ${fault}`)
  hold(heads.length - smuggled <= 1, `it reached the backend more than once: ${told}`)
  hold(smuggled <= (fate === 'passes' || fate === 'either' ? 1 : 0), `what followed reached the backend: ${told}`)
  const passed = statuses.filter((status) => status === '200').length
  if (fate === 'refused') hold(passed === 0 && (statuses.length > 0 || denials().length > 0), `not refused: ${told}`)
  if (fate === 'passes') hold(passed === 2 && heads.length === 2, `it was to pass, and what follows too: ${told}`)
  if (fate === 'alone') hold(passed === 1 && heads.length === 1, `it was to pass alone: ${told}`)
  const refusal = statuses.findIndex((status) => status.startsWith('4'))
  hold(refusal === -1 || refusal === statuses.length - 1, `something followed a refusal: ${told}`)
  hold(completions().length + denials().length > 0, `no line: ${told}`)
  hold(completions().length >= heads.length, `a request without its line: ${told}`)
  hold(lines.filter((line) => line.startsWith('/smuggled ')).length <= 1, `a request with two lines: ${told}`)
  hold(lines.filter((line) => !line.startsWith('/smuggled ')).length <= 1, `a request with two lines: ${told}`)
  return wrong
}

const all = Object.values(families).flat()

it('there are more than 600 different ones', () => {
  expect(new Set(all.map(({ text }) => text)).size).toBeGreaterThan(600)
})

describe.each(Object.entries(transports))('over %s nothing is smuggled by', (_transport, options) => {
  it.each(Object.entries(families))('%s', async (_family, attacks) => {
    const found = await Promise.all(
      attacks.map(async (attack) => [attack.name, await complaints(attack, options)] as const),
    )
    expect(found.filter(([, wrong]) => wrong.length > 0)).toEqual([])
  })
})
