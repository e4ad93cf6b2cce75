// The policy: which rule a request meets, what is recorded at each level, and what is counted of the rest.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { Policy, policySchema } from '../../src/audit/policy.ts'
import type { Level, TrafficFacts } from '../../src/events.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { answering, refusing } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { tempFolder } from '../support/folder.ts'
import { rawClient, send } from '../support/raw-client.ts'
import { collect, memoryStore } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

const facts: TrafficFacts = {
  id: 'r1',
  method: 'GET',
  path: '/a/b',
  client: '192.0.2.7',
  status: 200,
  result: 'ok',
  failed: false,
}
const policy = (given: unknown): Policy => new Policy(policySchema.parse(given))
const levelWhen = (when: object, given: Partial<TrafficFacts> = {}): Level =>
  policy({ rules: [{ level: 'full', when }], default: 'headers' }).level('request.completed', { ...facts, ...given })

describe('a rule', () => {
  it.each<[object, Partial<TrafficFacts>, boolean]>([
    [{}, {}, true],
    [{ method: 'get' }, {}, true],
    [{ method: ['PUT', 'POST'] }, {}, false],
    [{ path: '/a/b' }, {}, true],
    [{ path: '/a' }, {}, false],
    [{ path: '/a*' }, {}, true],
    [{ path: '/a/*' }, { path: '/a' }, false],
    [{ path: ['/x', '*'] }, {}, true],
    [{ path: '/a/*' }, { path: '/a/../secret' }, false],
    [{ path: '/a/*' }, { path: '/a/%2e%2E/secret' }, false],
    [{ path: '/a/*' }, { path: '/a/..%2fsecret' }, false],
    [{ path: '/a/*' }, { path: '/a/..;x/secret' }, false],
    [{ path: '/a/*' }, { path: '/a/...' }, true],
    [{ path: '/a/*' }, { path: '/A/b' }, false],
    [{ status: 200 }, {}, true],
    [{ status: ['4xx', '5xx'] }, { status: 503 }, true],
    [{ status: ['4xx', 503] }, { status: 504 }, false],
    [{ status: '2xx' }, { status: undefined }, false],
    [{ client: '192.0.2.0/24' }, {}, true],
    [{ client: ['2001:db8::/32', '192.0.2.7'] }, { client: '2001:db8::1' }, true],
    [{ client: '192.0.2.0/24' }, { client: '' }, false],
    [{ client: '192.0.2.0/24' }, { client: '198.51.100.1' }, false],
    [{ result: 'ok' }, {}, true],
    [{ result: ['client-gone', 'hedge-lost'] }, { result: 'client-gone' }, true],
    [{ result: 'ok' }, { result: undefined }, false],
    [{ method: 'GET', status: 404 }, {}, false],
  ])('when %j meets %j: %j', (when, given, matches) => {
    expect(levelWhen(when, given)).toBe(matches ? 'full' : 'headers')
  })

  it('is the first that matches, and what matches none has the default', () => {
    const one = policy({
      rules: [
        { level: 'full', when: { status: '5xx' } },
        { level: 'none', when: { path: '/a/*' } },
        { level: 'headers', when: { method: 'GET' } },
      ],
    })
    const level = (given: Partial<TrafficFacts>) => one.level('request.completed', { ...facts, ...given })
    expect([
      level({ status: 500, failed: true }),
      level({}),
      level({ path: '/' }),
      level({ path: '/', method: 'PUT' }),
    ]).toEqual(['full', 'none', 'headers', 'metadata'])
    expect(one.skipped).toEqual({ 1: { 'request.completed': 1 } })
  })

  it.each<[unknown, string]>([
    [{ rules: [{ level: 'some' }] }, 'rules.0.level'],
    [{ rules: [{ level: 'full', when: { path: 'a' } }] }, 'rules.0.when.path'],
    [{ rules: [{ level: 'full', when: { path: '/a*b' } }] }, 'rules.0.when.path'],
    [{ rules: [{ level: 'full', when: { status: '5x' } }] }, 'rules.0.when.status'],
    [{ rules: [{ level: 'full', when: { status: '6xx' } }] }, 'rules.0.when.status'],
    [{ rules: [{ level: 'full', when: { client: 'localhost' } }] }, 'rules.0.when.client'],
    [{ rules: [{ level: 'full', when: { result: 'fine' } }] }, 'rules.0.when.result'],
    [{ rules: [{ level: 'full', when: { event: 'config.changed' } }] }, 'rules.0.when'],
    [{ rules: [{ level: 'full', sample: 1.1 }] }, 'rules.0.sample'],
    [{ rules: [{ level: 'none', sample: 0.5 }] }, 'rules.0.sample'],
    [{ rules: [{ level: 'full', name: 'default' }] }, 'rules'],
    [{ rules: [{ level: 'full', name: '1' }, { level: 'full' }] }, 'rules'],
    [{ default: 'headers' }, 'rules'],
  ])('%j is none', (given, place) => {
    expect(policySchema.safeParse(given).error?.issues.map(({ path }) => path.join('.'))).toContain(place)
  })

  it.each<[object, boolean]>([
    [{ rules: [{ level: 'none', when: { path: '/x' } }] }, false],
    [{ rules: [{ level: 'metadata', sample: 0.5 }] }, false],
    [{ rules: [], default: 'none' }, false],
    [{ rules: [{ level: 'metadata', sample: 1 }], default: 'full' }, true],
  ])('%j with refuse: %j', (given, may) => {
    const make = () =>
      createAudit({ sinks: [memoryStore()], whenUnavailable: 'refuse', policy: given as never }).close({
        deadlineMs: 0,
      })
    if (may) expect(make).not.toThrow()
    else
      expect(make).toThrow(
        expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining('policy') }),
      )
  })
})

describe('a sample', () => {
  it('has about its part of the ids, the same at every time, and all that failed', () => {
    fc.assert(
      fc.property(fc.constantFrom(0, 0.01, 0.25, 0.9, 1), fc.nat(), (sample, seed) => {
        const given = { rules: [{ name: 's', level: 'metadata', sample }] }
        const [one, other] = [policy(given), policy(given)]
        let kept = 0
        for (let i = 0; i < 4000; i++) {
          const id = `${seed}-${i}`
          const level = one.level('request.completed', { ...facts, id })
          expect(other.level('request.completed', { ...facts, id })).toBe(level)
          if (level !== 'none') kept++
          expect(one.level('request.completed', { ...facts, id, failed: true })).toBe('metadata')
        }
        // Six standard deviations.
        expect(Math.abs(kept - 4000 * sample)).toBeLessThanOrEqual(6 * Math.sqrt(4000 * sample * (1 - sample)) + 1e-9)
        expect(one.skipped?.s?.['request.completed'] ?? 0).toBe(4000 - kept)
      }),
      { numRuns: 30 },
    )
  })
})

const lines = (kept: ReturnType<typeof collect>, name: string) => kept.events(name)

describe('what is recorded of a request', () => {
  it('at each level, and that the rest is counted', async () => {
    const kept = collect()
    const backend = await answering((response, { url }) =>
      response.writeHead(url === '/bad' ? 500 : 200, { 'X-Secret': 'abc', 'Content-Type': 'text/plain' }).end('ok'),
    )
    const { url: dead } = await refusing()
    const e = await edge([dead, backend], {
      audit: {
        sinks: [kept],
        policy: {
          rules: [
            { name: 'quiet', level: 'none', when: { path: '/none*' } },
            { level: 'full', when: { path: ['/full', '/bad'] } },
            { level: 'headers', when: { path: '/headers' } },
            { name: 'few', level: 'metadata', when: { path: '/few' }, sample: 0 },
          ],
        },
      },
    })
    await e.balancer.ready()
    const get = (path: string) => send(e.port, { path, headers: ['User-Agent', 'test', 'Cookie', 'abc'] })
    for (const path of ['/full?a=1', '/headers?a=1', '/meta?a=1', '/none?a=1', '/none/2', '/few', '/bad'])
      expect((await get(path)).body).toBe('ok')
    await until(() => e.completions().length === 4)
    const [full, headers, meta, bad] = e.completions()
    expect(full).toMatchObject({
      http: {
        request: { header: { 'user-agent': ['test'], cookie: { length: 3 } } },
        response: { header: { 'content-type': ['text/plain'], 'x-secret': { length: 3 } }, status_code: 200 },
      },
      lb: { level: 'full', attempts: [{ decision: { candidates: 2 } }, { decision: { retry: 1 } }] },
      url: { path: '/full', query: { a: { length: 1 } } },
    })
    expect(bad).toMatchObject({ lb: { level: 'full' }, http: { response: { status_code: 500 } } })
    expect(headers).toMatchObject({ http: { request: { header: { 'user-agent': ['test'] } } } })
    expect(headers!.http.response).toEqual({ body: { size: 2 }, status_code: 200 })
    expect(headers!.lb.level).toBeUndefined()
    expect(meta).toMatchObject({ lb: { level: 'metadata', decision: { strategy: 'in-order' } } })
    expect(meta!.http.request).toEqual({ body: { size: 0 }, method: 'GET' })
    expect(meta!.url).toEqual({ path: '/meta' })
    await e.balancer.close({ deadlineMs: 60_000 })
    expect(lines(kept, 'audit.closed')[0].log).toEqual({
      emitted: kept.lines().length,
      gaps: 0,
      skipped: { quiet: { 'request.completed': 2 }, few: { 'request.completed': 1 } },
    })
  })

  it('answers of our own have their head at level full', async () => {
    const e = await edge([], { audit: { policy: { rules: [], default: 'full' } } })
    expect((await send(e.port, {})).status).toBe(503)
    expect((await e.one()).http.response.header).toMatchObject({ 'retry-after': { length: 1 } })
  })

  it('a request that is left out is answered where the last byte waits for the line', async () => {
    const backend = await answering()
    const e = await edge([backend], {
      audit: {
        sinks: [fileSink({ dir: tempFolder(), durability: 'group' })],
        policy: { rules: [], default: 'none' },
      },
    })
    await e.balancer.ready()
    expect((await send(e.port, { path: '/a' })).body).toBe('ok')
    await e.balancer.as({ id: 'o', type: 'user' }).remove(e.balancer.snapshot().backends[0]!.id)
    expect((await send(e.port, { path: '/a' })).status).toBe(503)
    expect(e.events.filter(({ event_name }) => event_name.startsWith('request.'))).toEqual([])
    expect(e.events.some(({ event_name }) => event_name === 'config.changed')).toBe(true)
  })

  it('leases and denials: those by rules, these always', async () => {
    const kept = collect()
    const w = watched({
      backends: ['http://127.0.0.1:1'],
      audit: { sinks: [kept], policy: { rules: [{ level: 'none', when: { path: '/x', client: '192.0.2.1' } }] } },
    })
    w.balancer.pick({ path: '/x?y', client: { address: '192.0.2.1' } }).done({ result: 'ok' })
    w.balancer.pick({ path: '/y' }).done({ result: 'ok', status: 200 })
    w.balancer.pick({ path: 7, client: { address: {} } } as never).done(undefined as never)
    w.balancer.audit.record('access.denied', { rule: 'x', client: { address: '192.0.2.1' } })
    expect([w.of('route.picked').length, w.of('route.released').length, w.of('access.denied').length]).toEqual([
      2, 2, 1,
    ])
    await w.balancer.close({ deadlineMs: 60_000 })
    expect(lines(kept, 'audit.closed')[0].log.skipped).toEqual({ 0: { 'route.picked': 1, 'route.released': 1 } })
  })

  it('malformed ones are met by rules too, and an unusual target by no path', async () => {
    const e = await edge([], { audit: { policy: { rules: [{ level: 'full', when: { result: 'malformed' } }] } } })
    const client = await rawClient(e.port, 'GET http://u:p@x/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
    await client.has('400')
    expect(await e.one()).toMatchObject({ lb: { level: 'full', result: 'malformed' } })
  })
})
