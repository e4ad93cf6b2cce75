// The options of probes: what makes no sense together, what changes them, and what of them is recorded.
import { expect, it } from 'vitest'
import type { BalancerOptions } from '../../src/config.ts'
import type { BalancerError } from '../../src/errors.ts'
import { activeSchema } from '../../src/health/probe-options.ts'
import { createBalancer } from '../../src/index.ts'
import { answering } from '../support/backends.ts'
import { until } from '../support/until.ts'
import { codeOf, watched } from '../support/watched.ts'

type Active = NonNullable<NonNullable<BalancerOptions['health']>['active']>

function problemsOf(active: unknown): Record<string, string> {
  try {
    createBalancer({ backends: [], health: { active: active as Active } })
  } catch (error) {
    const { problems } = error as BalancerError & { problems: { path: string; message: string }[] }
    return Object.fromEntries(problems.map(({ path, message }) => [path.replace('health.active.', ''), message]))
  }
  return {}
}

const ofHttp = 'not with type "tcp": it speaks of HTTP'
const apart = 'not together with `probe`'
it.each<[unknown, Record<string, string>]>([
  [
    { type: 'tcp', path: '/', statuses: { from: 200, to: 299 } },
    { path: ofHttp, statuses: ofHttp },
  ],
  [
    { type: 'tcp', method: 'HEAD', body: 'x', host: 'a', headers: {} },
    { method: ofHttp, body: ofHttp, host: ofHttp, headers: ofHttp },
  ],
  [
    { probe: () => undefined, type: 'http', port: 80, path: '/' },
    { type: apart, port: apart, path: apart },
  ],
  [{ method: 'HEAD', body: 'ok' }, { body: 'not with method "HEAD": there is none' }],
  [{ headers: { 'x-a': '1', 'X-A': '2' } }, { 'headers.X-A': 'there is another that differs in case only' }],
  [
    { intervalMs: 100, fastIntervalMs: 200 },
    { fastIntervalMs: 'expected at most `intervalMs`, which is 100, got 200' },
  ],
  [
    { type: 'tcp', path: 'x', foo: 1, intervalMs: 'soon' },
    {
      foo: 'unknown option',
      intervalMs: 'expected a number, got a text of 4 characters',
      path: expect.any(String),
    },
  ],
  [{ type: 'grpc' }, { type: 'expected "http" or "tcp", got "grpc"' }],
  [{ probe: '/healthz' }, { probe: 'expected a function (backend, signal) => …, got a text of 8 characters' }],
  [{ body: '' }, { body: 'expected text that is not empty, got empty text' }],
  [{ host: 'a/b' }, { host: 'expected a host, and a port if there is one, got "a/b"' }],
  [{ headers: { 'x-a': 'b\r\nx-c: d' } }, { 'headers.x-a': 'expected a header value, got a text of 9 characters' }],
  [{ headers: { Host: 'a' } }, { 'headers.Host': 'the option `host` sets it' }],
  [
    { headers: { TE: 'a', 'a b': 'c' } },
    { 'headers.TE': expect.stringContaining('framing'), 'headers.a b': 'not the name of a header' },
  ],
  [{ initial: 'sick' }, { initial: 'expected "unknown" or "healthy" or "unhealthy", got "sick"' }],
])('%j is refused by name', (active, problems) => {
  expect(problemsOf(active)).toEqual(problems)
})

it('has defaults for each kind, and a quarter of the interval while it changes', () => {
  const pace = { intervalMs: 2000, fastIntervalMs: 500, timeoutMs: 1000, rise: 2, fall: 3, initial: 'unknown' }
  const http = { type: 'http', path: '/', method: 'GET', statuses: { from: 200, to: 399 } }
  expect(activeSchema.parse({})).toEqual({ ...pace, ...http })
  expect(activeSchema.parse({ type: 'tcp' })).toEqual({ ...pace, type: 'tcp' })
  const probe = (): void => undefined
  expect(activeSchema.parse({ probe })).toEqual({ ...pace, probe })
  expect(activeSchema.parse({ intervalMs: 20 }).fastIntervalMs).toBe(10)
})

it('a change that the record cannot show is a change: another function, another secret', async () => {
  const calls = [0, 0]
  const probeOf = (i: number) => () => void calls[i]!++
  const w = watched({ backends: ['http://127.0.0.1:1'], health: { active: { probe: probeOf(0), intervalMs: 10 } } })
  await until(() => calls[0]! > 0)
  await w.ops.update({ health: { active: { probe: probeOf(1), intervalMs: 10 } } })
  await until(() => calls[1]! > 2)
  expect(w.balancer.snapshot().revision).toBe(2)
  const withKey = (key: string) => ({ health: { active: { headers: { authorization: key } } } })
  await w.ops.update(withKey('one'))
  await w.ops.update(withKey('two'))
  await w.ops.update(withKey('two'))
  expect(w.balancer.snapshot().revision).toBe(4)
})

it('no record tells the value of a header, not even of a change that was refused', async () => {
  const backend = await answering()
  const headers = { authorization: 'Bearer SECRET' }
  const w = watched({ backends: [backend.url], health: { active: { headers, body: /o+k/i } } })
  await until(() => backend.seen.length > 0)
  expect(backend.seen[0]!.rawHeaders).toContain('Bearer SECRET')
  await w.ops.update({ health: { active: { headers: { 'x-b': 'SECRET' } } } })
  const bad = { headers: { ...headers, 'x-c': 'SECRET\r\n' }, intervalMs: 1 }
  expect(await codeOf(w.ops.update({ health: { active: bad } }))).toBe('config-invalid')
  expect(await codeOf(w.ops.update({ health: { active: { headers: ['SECRET'] } } } as never))).toBe('config-invalid')
  expect(w.of('config.changed')[0].config.before.health.active).toMatchObject({
    body: '/o+k/i',
    headers: { authorization: { length: 13 } },
  })
  expect(w.of('config.changed')).toHaveLength(1)
  expect(w.of('config.rejected')).toHaveLength(2)
  expect(JSON.stringify(w.events)).not.toContain('SECRET')
})

it('a pattern that an update gives is the pattern that is in force', async () => {
  const backend = await answering((response) => response.end('all fine'))
  const w = watched({ backends: [backend.url] })
  await w.ops.update({ health: { active: { body: /FINE$/i, intervalMs: 10, rise: 1 } } })
  await until(() => w.balancer.snapshot().backends[0]!.active === 'healthy')
  expect(w.of('config.changed')[0].config.after.health.active).toMatchObject({ body: '/FINE$/i' })
})
