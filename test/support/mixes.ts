// Mixes of backends that answer, refuse, reset, stall and are busy, and the rule by which a request goes through one.
import { expect } from 'vitest'
import { answering, httpBackend, silent } from './backends.ts'
import { edge } from './edge.ts'
import { fakeClock } from './fake-clock.ts'
import { send } from './raw-client.ts'
import { until } from './until.ts'

export const kinds = ['good', 'refuses', 'resets', 'stalls', 'busy'] as const
export type Kind = (typeof kinds)[number]

/** What an attempt on such a backend ends with. */
const results = {
  good: 'ok',
  refuses: 'connect-refused',
  resets: 'backend-reset',
  stalls: 'try-timeout',
  busy: 'ok',
} as const

/**
 * A port at which nobody listens (tcpmux, RFC 1078). One of those that the system gives out could be given to a server
 * meanwhile, or to the very connection that asks for it: thousands do here.
 */
const refusing = { url: 'http://127.0.0.1:1' }

/** Every mix of `n` kinds, in every order. */
export const mixes = (n: number): Kind[][] =>
  n === 0 ? [[]] : mixes(n - 1).flatMap((rest) => kinds.map((kind) => [kind, ...rest]))

export async function pools() {
  let stalled = 0
  const make: Record<Kind, () => Promise<{ url: string }>> = {
    good: () => answering(),
    refuses: async () => refusing,
    resets: () => silent('reset'),
    stalls: () => httpBackend(() => void stalled++),
    busy: () => answering((response) => response.writeHead(503).end('busy')),
  }
  const made = new Map<string, { url: string }>()
  for (const kind of kinds) for (let i = 0; i < 5; i++) made.set(`${kind}${i}`, await make[kind]())
  return {
    of: (mix: readonly Kind[]) => mix.map((kind, i) => ({ id: `${i}`, url: made.get(`${kind}${i}`)!.url })),
    /** Requests that have reached one that stalls. */
    stalled: () => stalled,
  }
}

/** Sends one request to a pool of this mix and holds what became of it against the rule. */
export async function check(
  mix: readonly Kind[],
  pool: Awaited<ReturnType<typeof pools>>,
  method: 'GET' | 'POST',
): Promise<void> {
  const clock = fakeClock()
  const retry = { retries: 4, statuses: [503], budget: { percent: 0, minPerSecond: 10 } }
  const { port, one, balancer } = await edge([], { clock, retry, timeouts: { tryMs: 1000 } })
  await balancer.as({ id: 'test', type: 'system' }).update({ backends: pool.of(mix) })
  const answered = { done: false }
  const reply = send(port, { method }).finally(() => {
    answered.done = true
  })
  let passed = pool.stalled()
  await until(() => {
    // Its time is over once the backend has the request.
    if (pool.stalled() > passed) {
      passed++
      clock.advance(1000)
    }
    return answered.done
  })
  const { status } = await reply
  const { lb } = await one()
  // In order, each once, up to the first that is good, or that may have seen what must not be done twice.
  const end = mix.findIndex((kind) => kind === 'good' || (method === 'POST' && kind !== 'refuses'))
  const expected = end === -1 ? mix : mix.slice(0, end + 1)
  const last = expected[expected.length - 1]
  expect([mix, lb.attempts.map(({ backend, result }) => [backend, result])]).toEqual([
    mix,
    expected.map((kind, i) => [`${i}`, results[kind]]),
  ])
  if (last === 'good') expect(status).toBe(200)
  else if (expected.includes('busy')) expect(status).toBe(503)
  else expect(status).toBe(last === 'stalls' ? 504 : 502)
  const denied = end !== -1 ? 'method' : expected.length === 5 ? 'limit' : 'no-backend'
  expect(lb.retry_denied).toBe(last === 'good' ? undefined : denied)
}
