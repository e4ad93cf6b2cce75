// Active probes against real servers.
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { answering, httpBackend, refusing } from '../support/backends.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

// Only one that hangs may run out of time, however busy the machine is.
const quick = { path: '/healthz', intervalMs: 10, timeoutMs: 600_000 }
const activeOf = (w: ReturnType<typeof watched>) => w.balancer.snapshot().backends.map(({ active }) => active)

it('a backend not yet probed is eligible, and its first good probe makes it healthy', async () => {
  const backend = await answering()
  const w = watched({ backends: [{ id: 'a', url: backend.url }], health: { active: quick } })
  expect(w.balancer.snapshot().backends[0]).toMatchObject({ active: 'unknown', eligible: true })
  await until(() => activeOf(w)[0] === 'healthy')
  expect(w.of('backend.health_changed')).toHaveLength(1)
  expect(w.of('backend.health_changed')[0]).toMatchObject({
    outcome: 'success',
    severity: 9,
    backend: {
      id: 'a',
      axis: 'active',
      from: 'unknown',
      to: 'healthy',
      cause: 'probe',
      failures: 0,
      successes: 1,
      threshold: 1,
    },
  })
  const { method, url, rawHeaders } = backend.seen[0]!
  expect([method, url]).toEqual(['GET', '/healthz'])
  expect(rawHeaders).toContain('auditlb-probe')
})

it('falls after `fall` failures in a row and rises after `rise` successes, with one event for each', async () => {
  let status = 200
  const backend = await answering((response) => {
    response.statusCode = status
    response.end()
  })
  const w = watched({
    backends: [{ id: 'a', url: backend.url }],
    health: { active: { ...quick, fall: 3, rise: 2 } },
  })
  await until(() => activeOf(w)[0] === 'healthy')
  status = 503
  await until(() => activeOf(w)[0] === 'unhealthy')
  expect(w.balancer.pick().backend).toBeUndefined()
  expect(w.balancer.snapshot().backends[0]).toMatchObject({ eligible: false, excluded: 'unhealthy' })
  status = 204
  await until(() => activeOf(w)[0] === 'healthy')
  expect(w.balancer.pick().backend?.id).toBe('a')
  const [first, down, up, ...more] = w.of('backend.health_changed')
  expect(more).toEqual([])
  expect(down.backend).toEqual({
    id: 'a',
    axis: 'active',
    from: 'healthy',
    to: 'unhealthy',
    cause: 'probe',
    failures: 3,
    successes: 0,
    threshold: 3,
    last_error: 'status 503',
  })
  expect(down).toMatchObject({ outcome: 'failure', severity: 13 })
  expect(up.backend).toMatchObject({ from: 'unhealthy', to: 'healthy', failures: 0, successes: 2, threshold: 2 })
  expect(up.backend.downtime_us).toBeGreaterThan(0)
  expect(up.backend.downtime_us).toBeLessThanOrEqual(up.audit.mono_us - first.audit.mono_us)
})

it('a failure between successes starts the count anew', async () => {
  const pattern = [500, 500, 200, 500, 500, 200, 500, 500, 500]
  let at = 0
  const backend = await answering((response) => {
    response.statusCode = pattern[Math.min(at++, pattern.length - 1)]!
    response.end()
  })
  const w = watched({ backends: [{ id: 'a', url: backend.url }], health: { active: { ...quick, fall: 3 } } })
  await until(() => activeOf(w)[0] === 'unhealthy')
  expect(at).toBe(9)
})

it.each([
  ['refuses', async () => (await refusing()).url, /^ECONNREFUSED$/],
  ['hangs', async () => (await httpBackend(() => undefined)).url, /^no answer within 30 ms$/],
  [
    'redirects when that is not accepted',
    async () => (await answering((r) => r.writeHead(302).end())).url,
    /^status 302$/,
  ],
  ['resets', async () => (await httpBackend((r) => void r.socket.destroy())).url, /^ECONNRESET$/],
] as const)('a backend that %s is unhealthy', async (how, urlOf, fault) => {
  const w = watched({
    backends: [{ id: 'a', url: await urlOf() }],
    health: {
      active: { ...quick, ...(how === 'hangs' ? { timeoutMs: 30 } : {}), fall: 1, statuses: { from: 200, to: 299 } },
    },
  })
  await until(() => activeOf(w)[0] === 'unhealthy')
  const [{ backend }] = w.of('backend.health_changed')
  expect(backend).toMatchObject({ from: 'unknown', to: 'unhealthy', failures: 1, threshold: 1 })
  expect(backend.last_error).toMatch(fault)
})

it('one that hangs does not hold up the probes of another', async () => {
  const hangs = await httpBackend(() => undefined)
  const answers = await answering()
  const w = watched({
    backends: [hangs.url, answers.url],
    health: { active: quick },
  })
  await until(() => answers.seen.length >= 5)
  expect(activeOf(w)).toEqual(['unknown', 'healthy'])
})

it('close aborts the probes under way, which count for nothing', async () => {
  const hangs = await httpBackend(() => undefined)
  const w = watched({ backends: [hangs.url], health: { active: { ...quick, fall: 1 } } })
  await until(() => hangs.sockets.size === 1)
  await w.balancer.close()
  await until(() => hangs.sockets.size === 0)
  expect(w.of('backend.health_changed')).toEqual([])
  expect(hangs.accepted()).toBe(1)
})

it('a backend that leaves is probed no more; one that comes is', async () => {
  const one = await answering()
  const two = await answering()
  const w = watched({ backends: [{ id: 'one', url: one.url }], health: { active: quick } })
  await until(() => one.seen.length > 0)
  await w.ops.addBackend({ id: 'two', url: two.url })
  await w.ops.remove('one')
  const before = one.seen.length
  await until(() => two.seen.length >= 5)
  expect(one.seen.length).toBeLessThanOrEqual(before + 1)
})

it('probes switched off make what they said void, and are not asked again', async () => {
  const { url } = await refusing()
  const w = watched({ backends: [{ id: 'a', url }], health: { active: { ...quick, fall: 1 } } })
  await until(() => activeOf(w)[0] === 'unhealthy')
  await w.ops.update({ health: {} })
  expect(w.balancer.snapshot().backends[0]).toMatchObject({ active: 'unknown', eligible: true })
  expect(w.of('backend.health_changed').map(({ backend }) => [backend.from, backend.to, backend.cause])).toEqual([
    ['unknown', 'unhealthy', 'probe'],
    ['unhealthy', 'unknown', 'probes-off'],
  ])
})

it('a shorter interval is in force at once, not after the old one', async () => {
  const backend = await answering()
  const w = watched({ backends: [backend.url], health: { active: { ...quick, intervalMs: 10 } } })
  await until(() => backend.seen.length > 0)
  await w.ops.update({ health: { active: { ...quick, intervalMs: 3_600_000 } } })
  const slow = backend.seen.length
  await w.ops.update({ health: { active: quick } })
  await until(() => backend.seen.length > slow + 3)
})

it('a balancer that is closed probes no more, whatever is changed then', async () => {
  const backend = await answering()
  const w = watched({ backends: [backend.url] })
  await w.balancer.close()
  await w.ops.update({ health: { active: quick } }, { breakGlass: true }).catch(() => undefined)
  for (let i = 0; i < 200; i++) await setImmediate()
  expect(backend.seen).toEqual([])
})

it('brings an ejected one back when probes take out the last other one', async () => {
  let status = 200
  const good = await answering()
  const bad = await answering((response) => {
    response.statusCode = status
    response.end()
  })
  const w = watched({
    backends: [
      { id: 'a', url: good.url },
      { id: 'b', url: bad.url },
    ],
    strategy: 'round-robin',
    health: { active: { ...quick, fall: 1 }, passive: { failures: 1, ejectionMs: 300_000 } },
  })
  await until(() => activeOf(w).every((state) => state === 'healthy'))
  while (w.balancer.snapshot().backends[0]!.passive === 'ok') {
    const lease = w.balancer.pick()
    lease.done({ result: lease.backend?.id === 'a' ? 'backend-reset' : 'ok' })
  }
  status = 503
  await until(() => activeOf(w)[1] === 'unhealthy')
  expect(w.balancer.pick().backend?.id).toBe('a')
  expect(
    w
      .of('backend.health_changed')
      .slice(-2)
      .map(({ backend: { id, to, cause } }) => [id, to, cause]),
  ).toEqual([
    ['b', 'unhealthy', 'probe'],
    ['a', 'ok', 'last-eligible'],
  ])
})

it('one that begins unhealthy gets nothing before its first good probe, also when it comes later', async () => {
  const backend = await answering()
  const hangs = await httpBackend(() => undefined)
  const active = { intervalMs: 10, rise: 5, timeoutMs: 600_000, initial: 'unhealthy' as const }
  const w = watched({ backends: [{ id: 'a', url: backend.url }], health: { active } })
  expect(w.balancer.snapshot().backends[0]).toMatchObject({ eligible: false, excluded: 'unhealthy' })
  expect(w.balancer.pick().backend).toBeUndefined()
  await until(() => activeOf(w)[0] === 'healthy')
  const lease = w.balancer.pick()
  expect(lease.backend?.id).toBe('a')
  lease.done({ result: 'ok' })
  await w.ops.addBackend({ id: 'b', url: hangs.url })
  expect(activeOf(w)).toEqual(['healthy', 'unhealthy'])
  expect(w.of('backend.health_changed').map(({ backend: { id, from, to, cause } }) => [id, from, to, cause])).toEqual([
    ['a', 'unhealthy', 'healthy', 'probe'],
    ['b', 'unknown', 'unhealthy', 'initial-state'],
  ])
})

it('by TCP a backend that dies is found, and one that comes back', async () => {
  const backend = await answering()
  const port = backend.port
  const tcp = { type: 'tcp', intervalMs: 10, timeoutMs: 600_000 } as const
  const w = watched({
    backends: [{ id: 'a', url: 'http://127.0.0.1:1' }],
    health: { active: { ...tcp, port, fall: 2 } },
  })
  await until(() => activeOf(w)[0] === 'healthy')
  await w.ops.update({ health: { active: { ...tcp, port: (await refusing()).port, fall: 2 } } })
  await until(() => activeOf(w)[0] === 'unhealthy')
  await w.ops.update({ health: { active: { ...tcp, port, rise: 3 } } })
  await until(() => activeOf(w)[0] === 'healthy')
  expect(w.of('backend.health_changed').map(({ backend: { to, last_error } }) => [to, last_error])).toEqual([
    ['healthy', undefined],
    ['unhealthy', 'ECONNREFUSED'],
    ['healthy', undefined],
  ])
  expect(backend.seen).toEqual([])
})
