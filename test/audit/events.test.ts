// Every event that the library emits, as its line: strict against its schema, canonical, and without secrets.
import { request } from 'node:http'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import { canonical } from '../../src/canonical.ts'
import { type AuditEvent, type EventName, eventSchema, eventTable } from '../../src/events.ts'
import { replay } from '../../src/replay.ts'
import { fileSink } from '../../src/sinks/file.ts'
import { answering, refusing, saying } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { tempFolder } from '../support/folder.ts'
import { rawClient } from '../support/raw-client.ts'
import { schemaFaults, schemaNameOf } from '../support/schemas.ts'
import { collect, keepLogger } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { codeOf } from '../support/watched.ts'

function expectLines(lines: readonly string[]): Set<string> {
  const names = new Set<string>()
  for (const line of lines) {
    const event = JSON.parse(line)
    names.add(event.event_name)
    eventSchema(event.event_name as EventName).parse(event)
    expect(schemaFaults(schemaNameOf(event.event_name), event)).toBeUndefined()
    expect(event.audit).toMatchObject({ origin: expect.any(String), index: expect.any(Number) })
    expect(line).not.toMatch(/[\n\r]/)
    expect(canonical(event)).toBe(line)
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(65_535)
  }
  return names
}

it('a run that meets nearly everything: each line is strict canonical JSON', async () => {
  const kept = collect()
  const backend = await answering((response, { url }) => response.writeHead(url === '/healthz' ? 500 : 200).end('ok'))
  const { url } = await refusing()
  const file = fileSink({ dir: tempFolder(), durability: 'group' })
  // A set that is none, and then one that is taken over.
  async function* sets() {
    yield [{ id: 'found\n', url }]
    yield [{ id: 'found', url }]
  }
  const e = await edge([backend, url], {
    discovery: sets,
    health: { active: { path: '/healthz', intervalMs: 10, fall: 1 }, record: 'each' },
    access: { deny: ['192.0.2.0/24'] },
    control: { authorize: ({ id }) => id === 'ops' },
    audit: { sinks: [file, kept], whenUnavailable: 'refuse', logger: keepLogger(), cloud: { region: 'eu-1' } },
  })
  await e.balancer.ready()
  const ops = e.balancer.as({ id: 'ops', type: 'user', auth: 'oidc' })
  await until(() => e.balancer.snapshot().backends.every(({ active }) => active === 'unhealthy'))
  expect((await fetch(`http://127.0.0.1:${e.port}/a?b=c`)).status).toBe(503)
  await ops.update({ panic: { thresholdPercent: 1 } })
  await ops.update({ health: {} }, { message: 'no probes', ticket: 'OPS-1' })
  const chat = await saying('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
  await ops.update({ backends: [chat.url] })
  const talk = await rawClient(e.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n')
  await talk.has('101')
  talk.socket.destroy()
  await ops.update({ backends: [backend.url, url] })
  await ops.addBackend({ id: 'shadow', url: backend.url, group: 'shadow' })
  await ops.update({ mirror: { group: 'shadow', percent: 100 } })
  for (let i = 0; i < 8; i++)
    await fetch(`http://127.0.0.1:${e.port}/a?b=c`, {
      headers: { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` },
    })
  await until(() => kept.events('request.mirrored').length > 0)
  const client = await rawClient(e.port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
  await client.has('400')
  e.balancer.pick({ client: { address: '192.0.2.1' } }).done({ result: 'ok', status: 200 })
  await codeOf(e.balancer.as({ id: 'eve', type: 'service' }).drain('x'))
  await codeOf(ops.drain('nope'))
  await ops.update({ access: { deny: ['127.0.0.1'] } })
  await fetch(`http://127.0.0.1:${e.port}/`).catch(() => undefined)
  e.balancer.audit.record('access.denied', { rule: 'login', note: 'x' })
  e.balancer.audit.record('audit.read', { actor: { id: 'auditor', type: 'user' }, verb: 'query', count: 3 })
  e.balancer.audit.record('app.order.paid', { n: 1 })
  // Each log has its own fsync: what is refused next must be the last of the three.
  await until(() => ['app.order.paid', 'audit.read'].every((name) => kept.events(name).length === 1))
  kept.script.push(
    () => Promise.reject(new Error('down')),
    () => Promise.reject(Object.assign(new Error('bad'), { rejected: Array.from({ length: 1000 }, (_, i) => i) })),
  )
  e.balancer.audit.record('app.order.paid', { n: 2 })
  e.balancer.audit.addSink(collect('late'))
  await until(() => kept.events('audit.gap').length > 0)
  expect((await e.balancer.close({ deadlineMs: 60_000 })).undelivered).toEqual({})
  const names = expectLines(kept.lines())
  const absent = Object.keys(eventTable).filter((name) => !names.has(name))
  // These need a damaged or an overfull log, a witness, a person, or time: the tests of those meet them.
  const rare = [
    'audit.recovered',
    'audit.pruned',
    'audit.rotated',
    'audit.heartbeat',
    'audit.clock_stepped',
    'audit.key_rotated',
    'audit.hold_changed',
    'witness.origin_changed',
    'witness.refused',
  ]
  expect(absent.filter((name) => !rare.includes(name))).toEqual([])
})

it('no line tells the value of a header or parameter that is not kept, whatever is sent', async () => {
  const kept = collect('kept', { intervalMs: 1 })
  const backend = await answering()
  const e = await edge([backend], {
    audit: { sinks: [kept], redact: { headers: { keep: ['x-kept', 'host'] }, query: { keep: ['kept'] } } },
  })
  const name = fc.stringMatching(/^x-[a-z]{1,8}$/).filter((one) => one !== 'x-kept' && !one.startsWith('x-request'))
  const secret = fc.stringMatching(/^[a-z]{4,16}$/).map((text) => `SECRET${text}`)
  const text = fc.string({
    unit: fc.constantFrom('a', '\\', '"', '\t', '\u00e9', '\u001b'.replace('\u001b', '~'), '{'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, secret), { maxLength: 70 }), text, async (hidden, shown) => {
      const headers = [
        ...hidden.flat(),
        'x-kept',
        shown,
        'cookie',
        'SECRETcookie',
        'authorization',
        'SECRETauth',
        'host',
        'h',
      ]
      const query = hidden.map(([one, value]) => `${one}=${value}`).join('&')
      await new Promise<void>((resolve, reject) => {
        const sent = request(
          { port: e.port, host: '127.0.0.1', path: `/p?${query}&kept=${encodeURIComponent(shown)}`, headers },
          (response) => {
            response.resume().on('end', resolve)
          },
        )
        sent.on('error', reject)
        sent.end()
      })
    }),
    { numRuns: 60 },
  )
  await until(() => kept.events('request.completed').length === 60)
  expect(kept.lines().join('\n')).not.toContain('SECRET')
  expectLines(kept.lines())
  const { http, url } = kept.events('request.completed')[0]
  expect(http.request.header.cookie).toEqual({ length: 12 })
  expect(url.query.kept).toHaveLength(1)
})

it.each<[string, (e: Awaited<ReturnType<typeof edge>>) => unknown]>([
  [
    'app',
    ({ balancer }) =>
      balancer.audit.record(
        'app.big',
        Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`k${i}`, Array(64).fill('"'.repeat(100))])),
      ),
  ],
  [
    'before, after and changes',
    ({ balancer }) =>
      balancer
        .as({ id: 'o', type: 'user' })
        .update({ backends: Array.from({ length: 2000 }, (_, i) => `http://backend-${i}.example`) }),
  ],
  [
    'what was attempted',
    ({ balancer }) => codeOf(balancer.as({ id: 'o', type: 'user' }).update({ x: Array(20_000).fill('y') } as never)),
  ],
  [
    'trace of a pick',
    ({ balancer }) =>
      balancer
        .as({ id: 'o', type: 'user' })
        .update({
          backends: Array.from({ length: 512 }, (_, i) => ({ id: `${i}-${'b'.repeat(120)}`, url: 'http://a' })),
          strategy: 'round-robin',
          traceRate: 1,
        })
        .then(() => balancer.pick()),
  ],
  [
    'the name of a strategy',
    ({ balancer }) =>
      balancer
        .as({ id: 'o', type: 'user' })
        .update({ strategy: { name: 's'.repeat(100_000), pick: (all) => all[0] } })
        .then(() => balancer.pick()),
  ],
])('a line that is too long for its %s is shortened and marked', async (_, act) => {
  const kept = collect()
  const e = await edge(['http://127.0.0.1:1'], { audit: { sinks: [kept] } })
  await e.balancer.ready()
  await act(e)
  await e.balancer.close({ deadlineMs: 0 })
  expectLines(kept.lines())
  expect(kept.events().filter(({ audit }) => audit.truncated === true).length).toBeGreaterThan(0)
})

it('a line that is too long for its trace keeps all else, and says that it was shortened', async () => {
  const kept = collect()
  const backends = Array.from({ length: 512 }, (_, i) => ({
    id: `${'backend-'.repeat(12)}${i}`,
    url: `http://backend-${i}.example`,
  }))
  const balancer = createBalancer({ backends, strategy: 'round-robin', traceRate: 1, audit: { sinks: [kept] } })
  await balancer.ready()
  const { decision, done } = balancer.pick()
  done({ result: 'ok' })
  expect(replay(decision)).toBe(decision.backend)
  await balancer.close({ deadlineMs: 0 })
  expectLines(kept.lines().filter((line) => line.includes('route.picked')))
  const { audit, lb } = kept
    .events()
    .find(({ event_name }) => event_name === 'route.picked') as AuditEvent<'route.picked'>
  expect(audit.truncated).toBe(true)
  expect(lb.decision).toEqual({ ...decision, trace: undefined })
  for (const record of [lb.decision, { lb }])
    expect(() => replay(record)).toThrow(expect.objectContaining({ code: 'not-replayable' }))
})
