// What was discovered beside what is configured: who owns an id, what an operator may do, and when a balancer is ready.
import { expect, it } from 'vitest'
import type { BackendOptions } from '../../src/backend.ts'
import { type BalancerOptions, parseConfig } from '../../src/config.ts'
import { describeConfig } from '../../src/describe.ts'
import { openResolver } from '../../src/discovery/lookup.ts'
import { type DnsOptions, discoverySchema } from '../../src/discovery/options.ts'
import { withoutKey } from '../../src/secret.ts'
import { dnsServer } from '../support/dns-server.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { until } from '../support/until.ts'
import { codeOf, watched } from '../support/watched.ts'

const a: BackendOptions = { id: 'a', url: 'http://10.0.0.1', weight: 3 }
const b: BackendOptions = { id: 'b', url: 'http://10.0.0.2' }
const c: BackendOptions = { id: 'c', url: 'http://10.0.0.3' }

/** A source that a test moves from set to set. */
function source(first: readonly BackendOptions[]) {
  let set = first
  let wake: () => void = () => undefined
  async function* from(signal: AbortSignal) {
    signal.addEventListener('abort', () => wake())
    while (!signal.aborted) {
      yield set
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
  return {
    from,
    to(next: readonly BackendOptions[]) {
      set = next
      wake()
    },
  }
}

async function pool(first: readonly BackendOptions[], options: Partial<BalancerOptions> = {}) {
  const s = source(first)
  const w = watched({ backends: [], discovery: { type: 'iterable', from: s.from, name: 'reg' }, ...options })
  await w.balancer.ready()
  const ids = () => w.balancer.snapshot().backends.map(({ id }) => id)
  const states = () =>
    Object.fromEntries(w.balancer.snapshot().backends.map(({ id, admin, weight }) => [id, [admin, weight]]))
  const changes = () => w.of('topology.changed').map(({ backend, discovery }) => `${discovery.change} ${backend.id}`)
  return { ...w, to: s.to, from: s.from, ids, states, changes }
}

it('the pool is what is configured, and then what was found', async () => {
  const p = await pool([a, b], { backends: [c] })
  expect(p.ids()).toEqual(['c', 'a', 'b'])
  expect(p.of('topology.changed').map(({ discovery }) => discovery.pool_size)).toEqual([3, 3])
})

it('an id that is configured belongs to the configuration, until it is there no more', async () => {
  const p = await pool([a, b], { backends: [{ id: 'a', url: 'http://10.9.9.9' }] })
  expect([p.changes(), p.ids()]).toEqual([
    ['shadowed a', 'joined b'],
    ['a', 'b'],
  ])
  expect(p.balancer.snapshot().backends[0]).toMatchObject({ id: 'a', url: 'http://10.9.9.9' })
  p.to([a, b, c])
  await until(() => p.ids().length === 3)
  expect(p.changes().slice(2)).toEqual(['joined c'])
  await p.ops.remove('a')
  expect(p.balancer.snapshot().backends.find(({ id }) => id === 'a')).toMatchObject({ url: 'http://10.0.0.1' })
  expect(p.changes().slice(3)).toEqual(['joined a'])
})

it('a discovered one that is added to the configuration stays the same one', async () => {
  const p = await pool([a])
  const lease = p.balancer.pick()
  expect(await p.ops.addBackend(a)).toBe(2)
  expect(p.changes()).toEqual(['joined a', 'shadowed a'])
  expect(p.of('topology.changed')[1].discovery).toMatchObject({ before: { weight: 3 }, after: { weight: 3 } })
  expect(p.balancer.snapshot().backends).toMatchObject([{ id: 'a', picks: 1, inFlight: 1 }])
  lease.done({ result: 'ok' })
})

it('of several sources the first that has an id owns it', async () => {
  const [one, two] = [source([a]), source([{ ...a, weight: 9 } as BackendOptions, b])]
  const discovery = [one, two].map(({ from }, i) => ({ type: 'iterable' as const, from, name: `s${i}` }))
  const w = watched({ backends: [], discovery })
  await w.balancer.ready()
  const weights = () => w.balancer.snapshot().backends.map(({ id, weight }) => `${id} ${weight}`)
  await until(() => weights().join() === 'a 3,b 1')
  one.to([c])
  await until(() => weights().join() === 'c 1,a 9,b 1')
  // It is the same backend, which another source has now.
  expect(w.of('topology.changed').at(-1)).toMatchObject({
    backend: { id: 'a' },
    discovery: { change: 'changed', of: 's1' },
  })
})

it('one with another URL is another backend', async () => {
  const p = await pool([a])
  p.balancer.pick()
  p.to([{ id: 'a', url: 'http://10.0.0.7' }])
  await until(() => p.changes().length === 3)
  expect(p.changes()).toEqual(['joined a', 'left a', 'joined a'])
  expect(p.balancer.snapshot().backends).toMatchObject([{ url: 'http://10.0.0.7', picks: 0 }])
})

it('drains and undrains a discovered one, also while its source has lost it', async () => {
  const p = await pool([a, b])
  expect(await p.ops.drain('a')).toBe(2)
  expect(p.of('config.changed')[0].config.changes).toEqual([{ path: '/discovered/a', to: { admin: 'draining' } }])
  expect(p.states()).toMatchObject({ a: ['draining', 3], b: ['ready', 1] })
  expect(p.balancer.pick().backend?.id).toBe('b')
  p.to([b])
  await until(() => p.ids().length === 1)
  p.to([a, b])
  await until(() => p.ids().length === 2)
  expect(p.states()).toMatchObject({ a: ['draining', 3] })
  await p.ops.undrain('a')
  expect(p.states()).toMatchObject({ a: ['ready', 3] })
  await p.ops.drain('a')
  p.to([b])
  await until(() => p.ids().length === 1)
  await p.ops.undrain('a')
  expect(await codeOf(p.ops.undrain('a'))).toBe('backend-unknown')
  expect(await codeOf(p.ops.drain('a'))).toBe('backend-unknown')
})

it('a drain waits for what is in flight on a discovered one', async () => {
  const p = await pool([a])
  const lease = p.balancer.pick()
  let empty = false
  const drained = p.ops.drain('a', { wait: true }).then(() => {
    empty = true
  })
  await until(() => p.states().a?.[0] === 'draining')
  expect(empty).toBe(false)
  lease.done({ result: 'ok' })
  await drained
})

it('a weight that an operator sets goes before what the source says, for good', async () => {
  const p = await pool([a, b])
  await p.ops.setWeight('a', 0)
  expect(p.of('config.changed')[0].config.changes).toEqual([{ path: '/discovered/a', to: { weight: 0 } }])
  expect(p.balancer.pick().backend?.id).toBe('b')
  p.to([{ ...a, weight: 8 } as BackendOptions, b])
  await until(() => p.changes().includes('changed a'))
  expect(p.states()).toMatchObject({ a: ['ready', 0] })
  expect(await codeOf(p.ops.setWeight('a', -1))).toBe('config-invalid')
  expect(await codeOf(p.ops.setWeight('a', undefined as never))).toBe('config-invalid')
  expect(await codeOf(p.ops.setWeight('x', 1))).toBe('backend-unknown')
})

it('does not remove what its source would bring back', async () => {
  const p = await pool([a])
  expect(await codeOf(p.ops.remove('a'))).toBe('backend-discovered')
  expect(p.of('config.rejected')[0].config).toMatchObject({ code: 'backend-discovered', attempted: { backend: 'a' } })
  expect(p.of('config.rejected')[0].config.detail).toContain('iterable reg')
  expect(p.ids()).toEqual(['a'])
})

it('the hash is that of the configuration, whatever was found', async () => {
  const [one, two] = [await pool([a]), await pool([b, c])]
  expect(one.balancer.snapshot().hash).toBe(two.balancer.snapshot().hash)
  one.to([c])
  await until(() => one.ids().join() === 'c')
  expect(one.balancer.snapshot()).toMatchObject({ revision: 1, hash: two.balancer.snapshot().hash })
})

it('sources are in the record of the configuration, functions by name', () => {
  const { from } = source([a])
  async function* open() {
    yield [a]
  }
  const { pool: config } = parseConfig({ backends: [], discovery: [from, open(), { type: 'file', path: 'x.json' }] })
  const iterable = { type: 'iterable', name: 'iterable', allowEmpty: false }
  expect(describeConfig(config, withoutKey)).toMatchObject({
    discovery: [
      { ...iterable, from: '[function from]' },
      { ...iterable, from: '[async iterable]' },
      { type: 'file', path: 'x.json', allowEmpty: false, intervalMs: 2000 },
    ],
    discovered: {},
  })
  expect(Object.keys(describeConfig(parseConfig({ backends: [] }).pool, withoutKey))).not.toContain('discovery')
})

it('another discovery takes the place of the old one, whose backends stay until there are new ones', async () => {
  const p = await pool([a, b])
  await p.ops.drain('a')
  await p.ops.setWeight('b', 7)
  let begin: () => void = () => undefined
  async function* next() {
    await new Promise<void>((resolve) => {
      begin = resolve
    })
    yield [a, c]
  }
  // The record of a function is its name: that it is another one is a change all the same.
  expect(await p.ops.update({ discovery: { type: 'iterable', from: next, name: 'reg' } })).toBe(4)
  p.to([c])
  expect(p.states()).toEqual({ a: ['draining', 3], b: ['ready', 7] })
  begin()
  await until(() => p.ids().join() === 'a,c')
  expect(p.states()).toMatchObject({ a: ['draining', 3] })
  await p.ops.update({ discovery: [] })
  expect([p.ids(), p.changes().slice(-2)]).toEqual([[], ['left a', 'left c']])
  // Without discovery nothing is left of what was set on what it found.
  expect(
    p
      .of('config.changed')
      .at(-1)
      .config.changes.map(({ path }: { path: string }) => path)
      .sort(),
  ).toEqual(['/discovered', '/discovery'])
  await p.ops.update({ discovery: p.from })
  await until(() => p.ids().join() === 'c')
  expect(p.states()).toEqual({ c: ['ready', 1] })
})

it('a source that is the same goes on when others come', async () => {
  const dns = await dnsServer({ 'A shop.test': { records: ['10.0.0.1'] }, 'A more.test': { records: ['10.0.0.2'] } })
  const named = (name: string) => ({ type: 'dns' as const, name, record: 'A' as const, servers: [dns.address] })
  const w = watched({ backends: [], discovery: named('shop.test'), clock: fakeClock() })
  await w.balancer.ready()
  await w.ops.update({ discovery: [named('more.test'), named('shop.test')] })
  await until(() => w.balancer.snapshot().backends.length === 2)
  expect(dns.asked).toEqual(['A shop.test', 'A more.test'])
  expect(await w.ops.update({ discovery: [named('more.test'), named('shop.test')] })).toBe(2)
})

it('other changes leave what was found in the pool', async () => {
  const p = await pool([a, b])
  await p.ops.update({ strategy: 'round-robin', backends: [c] })
  expect(p.ids()).toEqual(['c', 'a', 'b'])
  expect(p.changes()).toEqual(['joined a', 'joined b'])
})

it('is ready when every source has found something, or failed to', async () => {
  const dns = await dnsServer({ 'A shop.test': { records: ['10.0.0.1'] }, 'A no.test': 'servfail' })
  const named = (name: string) => ({ type: 'dns' as const, name, record: 'A' as const, servers: [dns.address] })
  const w = watched({ backends: [], discovery: [named('shop.test'), named('no.test')], clock: fakeClock() })
  await w.balancer.ready()
  expect([w.of('topology.changed').length, w.of('discovery.failed').length]).toEqual([1, 1])
  await until(() => w.of('balancer.ready').length === 1)
})

it('is not ready when nobody is in the pool by the fault of a source, and tells it', async () => {
  const dns = await dnsServer({ 'A no.test': 'servfail' })
  const discovery = { type: 'dns' as const, name: 'no.test', record: 'A' as const, servers: [dns.address] }
  const w = watched({ backends: [], discovery, clock: fakeClock() })
  await expect(w.balancer.ready()).rejects.toMatchObject({
    code: 'discovery-failed',
    message: 'no backend was discovered: dns no.test: ESERVFAIL A no.test',
  })
  expect(w.of('balancer.ready')).toEqual([])
})

it('does not wait for a silent source for ever', async () => {
  const clock = fakeClock()
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }
  const w = watched({ backends: [], discovery: { type: 'iterable', from: never }, clock })
  const refused = expect(w.balancer.ready()).rejects.toMatchObject({
    message: 'no backend was discovered: iterable iterable: no answer yet',
  })
  await until(() => clock.timers > 1)
  clock.advance(10_000)
  await refused
})

it('a balancer that is closed before the first answer waits for nothing', async () => {
  const clock = fakeClock()
  const never = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }) }
  const w = watched({ backends: [], discovery: never, clock })
  const ready = w.balancer.ready()
  await w.balancer.close()
  await ready
  expect(clock.timers).toBe(0)
})

it.each([
  [{ type: 'dsn' }, { 'discovery.type': 'expected a source: an object with `type` "dns", "file" or "iterable"' }],
  [{ type: 'dns' }, { 'discovery.name': 'expected text, got nothing' }],
  [{ type: 'dns', name: '10.0.0.1' }, { 'discovery.name': 'expected a DNS name' }],
  [{ type: 'dns', name: 'x.test', record: 'SRV', port: 80 }, { 'discovery.port': 'expected no port' }],
  [{ type: 'dns', name: 'x.test', minTtlMs: 9000, maxTtlMs: 5000 }, { 'discovery.minTtlMs': 'expected `minTtlMs`' }],
  [{ type: 'dns', name: 'x.test', servers: ['dns.test'] }, { 'discovery.servers[0]': 'expected an IP address' }],
  [{ type: 'dns', name: 'x.test', servers: ['1.1.1.1:99999'] }, { 'discovery.servers[0]': 'expected an IP address' }],
  [{ type: 'file', path: '' }, { 'discovery.path': 'expected text that is not empty' }],
  [{ type: 'file', path: 'x', watch: true }, { 'discovery.watch': 'unknown option' }],
  [{ type: 'iterable', from: 5 }, { 'discovery.from': 'expected an async iterable' }],
  [[{ type: 'file', path: 'x', intervalMs: 1 }], { 'discovery[0].intervalMs': 'expected at least 10' }],
])('%j is refused, and what is wrong is said', (discovery, expected) => {
  let problems: Readonly<Record<string, string>> = {}
  try {
    watched({ backends: [], discovery: discovery as never })
  } catch (error) {
    const given = (error as { problems: { path: string; message: string }[] }).problems
    problems = Object.fromEntries(given.map(({ path, message }) => [path, message]))
  }
  for (const [path, message] of Object.entries(expected)) expect(problems[path]).toContain(message)
  expect(Object.keys(problems)).toEqual(Object.keys(expected))
})

it.each(['1.1.1.1', '1.1.1.1:53', '::1', '[::1]', '[::1]:5353'])('a name server may be given as %s', (server) => {
  const [parsed] = discoverySchema.parse({ type: 'dns', name: 'x.test', servers: [server] })
  expect(() => openResolver(100, (parsed as DnsOptions).servers)).not.toThrow()
})
