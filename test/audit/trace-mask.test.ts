// The hash of a key is recorded where the key is, and a pick whose hash is not recorded does not pretend to be replayed.
import { describe, expect, it } from 'vitest'
import type { AuditOptions } from '../../src/audit/options.ts'
import { replay } from '../../src/replay.ts'
import type { KeySource } from '../../src/request-key.ts'
import { answering } from '../support/backends.ts'
import { edge, recorded } from '../support/edge.ts'
import { send } from '../support/raw-client.ts'

type Redact = NonNullable<AuditOptions['redact']>

const cases: [string, KeySource, Redact, boolean][] = [
  ['the client', 'client', {}, true],
  ['the client', 'client', { client: 'truncate' }, false],
  ['the client, with a key', 'client', { client: 'truncate', key: 'k'.repeat(16) }, false],
  ['the path', 'path', {}, true],
  ['the path', 'path', { path: ['/users/:id'] }, false],
  ['a header', { header: 'x-user' }, {}, false],
  ['a header', { header: 'x-user' }, { headers: { keep: ['X-User'] } }, true],
  ['a header of addresses', { header: 'x-real-ip' }, { headers: { keep: 'all' }, client: 'truncate' }, false],
  ['a header of addresses', { header: 'X-Client-IP' }, { headers: { keep: 'all' }, client: 'truncate' }, false],
  ['a parameter', { query: 'u' }, {}, false],
  ['a parameter', { query: 'u' }, { query: { keep: ['u'] } }, true],
  ['a cookie', { cookie: 'c' }, { headers: { keep: ['cookie'] } }, false],
  ['a cookie', { cookie: 'c' }, { headers: { keep: ['cookie'] }, cookies: { keep: ['c'] } }, true],
  ['a function', () => 'key', {}, false],
]

describe.each(cases)('a traced pick by %s (%j), under %j', (_, key, redact, kept) => {
  const strategy = { name: 'consistent-hash', key } as const
  const options = { strategy, traceRate: 1, audit: { redact } }

  const holds = (decision: unknown): void => {
    const { trace } = decision as { trace?: { hash?: number; compared: readonly unknown[] } }
    expect(trace).toBeDefined()
    expect(trace!.hash !== undefined).toBe(kept)
    expect(trace!.compared).toHaveLength(kept ? 2 : 0)
  }

  it(`has its hash in the record of a request: ${kept}`, async () => {
    const backends = [await answering(), await answering()]
    const { port, one } = await edge(backends, options)
    await send(port, {
      path: '/users/7?u=1',
      headers: ['x-user', 'u', 'x-real-ip', '192.0.2.1', 'x-client-ip', '192.0.2.1', 'cookie', 'c=1'],
    })
    const event = await one()
    holds(event.lb.decision!)
    if (kept) expect(replay(event)).toBe(event.lb.decision!.backend)
    else expect(() => replay(event)).toThrow('the hash of its key was not recorded')
  })

  it(`has it in the record of a lease: ${kept}`, () => {
    const { balancer } = recorded({ backends: ['http://127.0.0.1:1', 'http://127.0.0.1:2'], ...options })
    const picked: unknown[] = []
    balancer.audit.on('route.picked', ({ lb }) => void picked.push(lb.decision))
    const headers = { 'x-user': 'u', 'x-real-ip': '192.0.2.1', 'x-client-ip': '192.0.2.1', cookie: 'c=1' }
    balancer.pick({ path: '/users/7?u=1', headers, client: { address: '192.0.2.1' } }).done({ result: 'ok' })
    holds(picked[0]!)
  })
})
