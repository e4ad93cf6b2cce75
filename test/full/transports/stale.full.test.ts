// Connections that backends close while they are idle: no GET fails by that, and no POST is sent twice.
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { AuditEvent } from '../../../src/events.ts'
import { below, seededRandom } from '../../../src/random.ts'
import { rawBackend } from '../../support/backends.ts'
import { closeAfterTest, listen } from '../../support/closing.ts'
import { edge } from '../../support/edge.ts'
import { scaled } from '../../support/scale.ts'
import { hopBy, transports } from '../../support/transports.ts'

/** How many requests are to go out on connections that were used before. */
const reuses = scaled(10_000, 1000)
/** How many are under way at a time. */
const width = 50
const timeout = 600_000

type Attempt = AuditEvent<'request.completed'>['lb']['attempts'][number]
const wasReused = ({ reused, stale = 0 }: Attempt): boolean => reused === true || stale > 0

interface Tally {
  sent: number
  reused: number
  stale: number
  failed: number
  readonly results: Record<string, number>
}

/** The body of the response, or its status where it is not 200. */
function asked(options: { port: number; method: string; path: string; agent: Agent }): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ host: '127.0.0.1', ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        body += text
      })
      response.on('error', reject)
      response.on('end', () => resolve(response.statusCode === 200 ? body : String(response.statusCode)))
    })
    request.on('error', reject)
    request.end(options.method === 'POST' ? 'once' : undefined)
  })
}

/** Sends rounds of requests, with a pause before each, until so many went out on connections that were used before. */
async function flood(
  transport: (typeof transports)[number],
  method: 'GET' | 'POST',
  url: string,
  pauseMs: () => number,
  enough: (tally: Tally) => boolean,
): Promise<Tally> {
  // What is seen is the connections' doing alone: nothing is tried again elsewhere, and nobody is taken out.
  const { port, balancer } = await edge([url], {
    ...hopBy(transport),
    retry: { retries: 0 },
    health: { passive: false },
  })
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  const tally: Tally = { sent: 0, reused: 0, stale: 0, failed: 0, results: {} }
  balancer.audit.on('request.completed', ({ lb }) => {
    const attempt = lb.attempts[0]!
    if (wasReused(attempt)) tally.reused++
    tally.stale += attempt.stale ?? 0
    tally.results[lb.result] = (tally.results[lb.result] ?? 0) + 1
  })
  for (let round = 0; !enough(tally); round++) {
    const all = Array.from({ length: width }, async (_, i) => {
      const path = `/${round}-${i}`
      tally.sent++
      if ((await asked({ port, method, path, agent })) !== path) tally.failed++
    })
    await Promise.all(all)
    await setTimeout(pauseMs())
  }
  return tally
}

/** How often each request was seen by a backend. */
class Seen {
  readonly #times = new Map<string, number>()

  add(id: string): void {
    this.#times.set(id, (this.#times.get(id) ?? 0) + 1)
  }

  get most(): number {
    return Math.max(...this.#times.values())
  }
}

describe.each(transports)(
  'by %s: a Node backend that closes idle connections after 10 to 60 ms, and says nothing',
  (transport) => {
    async function impatient() {
      const random = seededRandom(1)
      const seen = new Seen()
      // Answers a round at once, so that each of its requests has a connection of its own, and all are idle for as long.
      const answers: (() => void)[] = []
      const answer = (): void => {
        for (const one of answers.splice(0)) one()
      }
      let last: NodeJS.Timeout | undefined
      const server = createServer((request, response) => {
        const { url = '' } = request
        seen.add(url)
        // With a field of its own Node adds no hint. It waits for a second longer than it is told: here the socket is told.
        response.setHeader('connection', 'keep-alive')
        response.on('finish', () => request.socket.setTimeout(10 + below(random, 51)))
        request.resume().on('end', () => {
          answers.push(() => response.end(url))
          clearTimeout(last)
          // One that failed on its way does not come.
          if (answers.length < width) last = globalThis.setTimeout(answer, 100)
          else answer()
        })
      })
      closeAfterTest(server)
      return { url: `http://127.0.0.1:${await listen(server)}`, seen }
    }

    it(`fails no GET in ${reuses} reuses near its timeout`, { timeout }, async () => {
      const { url } = await impatient()
      const random = seededRandom(2)
      const tally = await flood(
        transport,
        'GET',
        url,
        () => below(random, 31),
        (so) => so.reused >= reuses,
      )
      console.log(transport, 'node, GET', JSON.stringify(tally))
      expect(tally).toMatchObject({ failed: 0, results: { ok: tally.sent } })
    })

    it(`gets no POST twice of ${reuses} near its timeout`, { timeout }, async () => {
      const { url, seen } = await impatient()
      const random = seededRandom(3)
      const tally = await flood(
        transport,
        'POST',
        url,
        () => below(random, 31),
        (so) => so.sent >= reuses,
      )
      console.log(transport, 'node, POST', JSON.stringify(tally))
      expect(seen.most).toBe(1)
      // A close and a request can cross on their way, above all before it is known how soon this backend closes.
      expect(tally.failed).toBeLessThanOrEqual(Math.max(width, tally.sent / 100))
      expect(tally.results.ok).toBe(tally.sent - tally.failed)
    })
  },
)

describe.each(transports.flatMap((transport) => (['fin', 'reset'] as const).map((how) => [transport, how] as const)))(
  'by %s: a backend that closes as soon as a connection is used again, by %s',
  (transport, how) => {
    async function spiteful() {
      const seen = new Seen()
      const used = new Set<Socket>()
      const { url } = await rawBackend((socket, head) => {
        const path = head.split(' ')[1]!
        seen.add(path)
        if (used.has(socket)) {
          if (how === 'fin') socket.end()
          else socket.resetAndDestroy()
          return
        }
        used.add(socket)
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`)
      })
      return { url, seen }
    }

    it(`fails no GET in ${reuses} reuses`, { timeout }, async () => {
      const { url } = await spiteful()
      const tally = await flood(
        transport,
        'GET',
        url,
        () => 0,
        (so) => so.reused >= reuses,
      )
      console.log(transport, how, 'GET', JSON.stringify(tally))
      expect(tally).toMatchObject({ failed: 0, results: { ok: tally.sent } })
      expect(tally.stale).toBe(tally.reused)
    })

    it(`gets no POST twice of ${reuses}`, { timeout }, async () => {
      const { url, seen } = await spiteful()
      const tally = await flood(
        transport,
        'POST',
        url,
        () => 0,
        (so) => so.sent >= reuses,
      )
      console.log(transport, how, 'POST', JSON.stringify(tally))
      expect(seen.most).toBe(1)
      expect(tally.results).toEqual({ ok: tally.sent - tally.failed, 'backend-reset': tally.failed })
    })
  },
)
