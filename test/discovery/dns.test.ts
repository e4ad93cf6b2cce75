// Backends from DNS: real datagrams, and a clock that stands still between questions.
import { expect, it, onTestFinished } from 'vitest'
import type { Clock } from '../../src/clock.ts'
import { DnsSource } from '../../src/discovery/dns.ts'
import { type DiscoveryOptions, type DnsOptions, discoverySchema } from '../../src/discovery/options.ts'
import { seededRandom } from '../../src/random.ts'
import { dnsServer, type Reply } from '../support/dns-server.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

type Dns = Extract<DiscoveryOptions, { type: 'dns' }>

const name = 'shop.test'
const addresses = (...records: string[]): Reply => ({ records, ttl: 30 })

async function pool(zone: Record<string, Reply>, options: Partial<Dns> = {}) {
  const dns = await dnsServer(zone)
  const clock = fakeClock()
  // In real time: only what is not answered may run out of it, however busy the machine is.
  const discovery: DiscoveryOptions = { type: 'dns', name, servers: [dns.address], timeoutMs: 60_000, ...options }
  // Nobody else sets a timer.
  const w = watched({ backends: [], discovery, health: { passive: false }, clock, random: seededRandom(7) })
  const ids = () => w.balancer.snapshot().backends.map(({ id }) => id)
  // Moves time on until the name server was asked again, and the answer was dealt with.
  const round = async (question = `A ${name}`) => {
    const before = dns.count(question)
    await until(() => {
      clock.advance(100)
      return dns.count(question) > before
    })
  }
  const later = async (holds: () => boolean) =>
    until(() => {
      clock.advance(100)
      return holds()
    })
  return { ...w, dns, clock, ids, round, later }
}
const told = ({ of }: { of(name: string): { discovery: Record<string, unknown> }[] }) =>
  of('topology.changed').map(({ discovery }) => discovery)

it('asks for A and AAAA, and gives each address a backend', async () => {
  const p = await pool({ [`A ${name}`]: addresses('10.0.0.2', '10.0.0.1'), [`AAAA ${name}`]: addresses('fd00::7') })
  await p.balancer.ready()
  expect(p.balancer.snapshot().backends).toMatchObject([
    { id: '10.0.0.1:80', url: 'http://10.0.0.1', weight: 1 },
    { id: '10.0.0.2:80', url: 'http://10.0.0.2', weight: 1 },
    { id: '[fd00::7]:80', url: 'http://[fd00::7]', weight: 1 },
  ])
  expect(p.dns.asked.sort()).toEqual([`A ${name}`, `AAAA ${name}`])
})

it('gives backends what they have in common', async () => {
  const common = { weight: 3, zone: 'eu-1', priority: 2, group: 'canary', maxInFlight: 9 }
  const p = await pool(
    { [`A ${name}`]: addresses('10.0.0.1') },
    { ...common, record: 'A', protocol: 'https', port: 8443 },
  )
  await p.balancer.ready()
  const after = { ...common, url: 'https://10.0.0.1:8443', serverName: name }
  expect(told(p)).toEqual([{ source: 'dns', of: name, change: 'joined', after, pool_size: 1 }])
  expect(p.dns.asked).toEqual([`A ${name}`])
  expect(p.of('topology.changed')[0]).toMatchObject({
    severity: 9,
    outcome: 'success',
    backend: { id: '10.0.0.1:8443', address: '10.0.0.1', port: 8443 },
    lb: { config_revision: 1 },
  })
})

it('tells each join and each leave, once; an answer in another order is the same set', async () => {
  const p = await pool({ [`A ${name}`]: addresses('10.0.0.1', '10.0.0.2') }, { record: 'A' })
  await p.balancer.ready()
  const { version } = snapshotOf(p)
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.2', '10.0.0.1'))
  await p.round()
  await p.round()
  expect(snapshotOf(p).version).toBe(version)
  expect(told(p)).toHaveLength(2)
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.2', '10.0.0.3'))
  await p.later(() => told(p).length === 4)
  expect(told(p).slice(2)).toMatchObject([
    { change: 'left', before: { url: 'http://10.0.0.1' }, pool_size: 2 },
    { change: 'joined', after: { url: 'http://10.0.0.3' }, pool_size: 2 },
  ])
  expect(p.ids()).toEqual(['10.0.0.2:80', '10.0.0.3:80'])
  expect(p.of('discovery.failed')).toEqual([])
})

// The version of the pool's snapshot, as a pick tells it.
const snapshotOf = ({ balancer }: Awaited<ReturnType<typeof pool>>): { version: number } => {
  const lease = balancer.pick()
  lease.done({ result: 'ok' })
  return { version: lease.decision.snapshot }
}

it('keeps what it knows of a backend that stays', async () => {
  const p = await pool({ [`A ${name}`]: addresses('10.0.0.1') }, { record: 'A' })
  await p.balancer.ready()
  const lease = p.balancer.pick()
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.1', '10.0.0.2'))
  await p.later(() => p.ids().length === 2)
  expect(p.balancer.snapshot().backends).toMatchObject([
    { inFlight: 1, picks: 1 },
    { inFlight: 0, picks: 0 },
  ])
  lease.done({ result: 'ok' })
  expect(p.balancer.snapshot().backends[0]).toMatchObject({ inFlight: 0 })
})

it.each([
  ['honours the TTL', 30, {}, 27_000, 30_000],
  ['not below minTtlMs', 0, { minTtlMs: 5000 }, 5000, 5000],
  ['nor above maxTtlMs', 86_400, { maxTtlMs: 60_000 }, 54_000, 60_000],
] as const)('%s, with jitter', async (_, ttl, bounds, least, most) => {
  const waits = new Set<number>()
  const p = await pool({ [`A ${name}`]: { records: ['10.0.0.1'], ttl } }, { record: 'A', ...bounds })
  await p.balancer.ready()
  for (let round = 1; round <= 8; round++) {
    // One is the pulse of the log.
    await until(() => p.clock.timers > 1)
    const before = p.clock.now()
    while (p.clock.timers > 1) p.clock.advance(1)
    waits.add(p.clock.now() - before)
    await until(() => p.dns.asked.length > round)
  }
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(least)
  expect(Math.max(...waits)).toBeLessThanOrEqual(most)
  expect(waits.size > 1).toBe(least !== most)
})

it.each([
  ['nxdomain', 'not-found'],
  ['servfail', 'server-failed'],
  ['refused', 'refused'],
  ['silence', 'timeout'],
  ['garbage', 'bad-response'],
  ['cut-short', 'bad-response'],
  ['truncated', 'unreachable'],
  [{ records: [] }, 'empty'],
] as const)('keeps the last good set after %j, and says so once', async (reply, cause) => {
  const p = await pool(
    { [`A ${name}`]: addresses('10.0.0.1') },
    { record: 'A', ...(cause === 'timeout' ? { timeoutMs: 100 } : {}) },
  )
  // So short a time may be over before the first answers have come.
  await p.later(() => p.ids().length === 1)
  const [failedBefore, recoveredBefore] = [p.of('discovery.failed').length, p.of('discovery.recovered').length]
  p.dns.zone.set(`A ${name}`, reply)
  await p.later(() => p.of('discovery.failed').length > failedBefore)
  const failure = p.of('discovery.failed').at(-1)
  expect(failure).toMatchObject({
    severity: 13,
    outcome: 'failure',
    discovery: { source: 'dns', of: name, cause, kept: 1 },
  })
  expect(failure.discovery.detail).toContain(`A ${name}`)
  expect(failure.discovery.age_us).toBeGreaterThanOrEqual(27_000_000)
  for (let i = 0; i < 4; i++) await p.round()
  expect([p.ids(), p.of('discovery.failed').length - failedBefore]).toEqual([['10.0.0.1:80'], 1])
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.1'))
  await p.later(() => p.of('discovery.recovered').length > recoveredBefore)
  const { failures, found, downtime_us } = p.of('discovery.recovered').at(-1).discovery
  expect([failures >= 2, found, downtime_us > 0]).toEqual([true, 1, true])
  expect(told(p)).toHaveLength(1)
})

it('tells another cause anew, and an outage that comes again', async () => {
  const p = await pool({ [`A ${name}`]: 'servfail' }, { record: 'A' })
  const causes = () => p.of('discovery.failed').map(({ discovery }) => discovery.cause)
  await p.later(() => causes().length === 1)
  p.dns.zone.set(`A ${name}`, 'nxdomain')
  await p.later(() => causes().length === 2)
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.1'))
  await p.later(() => p.ids().length === 1)
  p.dns.zone.set(`A ${name}`, 'servfail')
  await p.later(() => causes().length === 3)
  expect(causes()).toEqual(['server-failed', 'not-found', 'server-failed'])
  expect(p.of('discovery.failed')[0].discovery).toMatchObject({ kept: 0 })
  expect(p.of('discovery.failed')[0].discovery).not.toHaveProperty('age_us')
})

it('retries after growing times, drawn anew each time', async () => {
  const dns = await dnsServer({ [`A ${name}`]: 'servfail' })
  const clock = fakeClock()
  const waits: number[] = []
  const after: Clock['after'] = (ms, fn) => {
    waits.push(ms)
    return clock.after(ms, fn)
  }
  const [options] = discoverySchema.parse({ type: 'dns', name, record: 'A', servers: [dns.address], maxTtlMs: 8000 })
  const source = new DnsSource(options as DnsOptions, { ...clock, after }, seededRandom(7))
  onTestFinished(() => source.close())
  source.start(() => undefined)
  await until(() => {
    clock.advance(1000)
    return waits.length === 6
  })
  const most = [2000, 4000, 8000, 8000, 8000, 8000]
  expect(waits.map((ms, i) => ms >= most[i]! / 2 && ms <= most[i]!)).toEqual(most.map(() => true))
  expect(new Set(waits).size).toBe(6)
})

it('takes over an empty set only where that is allowed', async () => {
  const p = await pool({ [`A ${name}`]: addresses('10.0.0.1') }, { record: 'A', allowEmpty: true })
  await p.balancer.ready()
  p.dns.zone.set(`A ${name}`, 'servfail')
  await p.later(() => p.of('discovery.failed').length > 0)
  expect(p.ids()).toEqual(['10.0.0.1:80'])
  p.dns.zone.set(`A ${name}`, 'nxdomain')
  await p.later(() => p.ids().length === 0)
  expect(p.of('discovery.recovered')).toHaveLength(1)
})

it('keeps the half that could not be asked for, and follows the other', async () => {
  const p = await pool({ [`A ${name}`]: addresses('10.0.0.1'), [`AAAA ${name}`]: addresses('fd00::7') })
  await p.balancer.ready()
  p.dns.zone.set(`AAAA ${name}`, 'servfail')
  p.dns.zone.set(`A ${name}`, addresses('10.0.0.2'))
  await p.later(() => p.ids().includes('10.0.0.2:80'))
  expect(p.ids()).toEqual(['10.0.0.2:80', '[fd00::7]:80'])
  expect(p.of('discovery.failed')).toMatchObject([{ discovery: { cause: 'server-failed', kept: 2 } }])
})

it('a name with records of one family has no fault', async () => {
  const p = await pool({ [`AAAA ${name}`]: addresses('fd00::7') })
  await p.balancer.ready()
  expect([p.ids(), p.of('discovery.failed')]).toEqual([['[fd00::7]:80'], []])
})

const service = '_http._tcp.shop.test'
const srv = (...records: Exclude<Extract<Reply, object>['records'][number], string>[]): Reply => ({ records, ttl: 5 })

async function services(records: Reply, hosts: Record<string, Reply>, options: Partial<Dns> = {}) {
  const p = await pool({ [`SRV ${service}`]: records, ...hosts }, { record: 'SRV', name: service, ...options })
  return { ...p, round: () => p.round(`SRV ${service}`) }
}

it('SRV: levels by priority, shares by weight, and the name of the target', async () => {
  const p = await services(
    srv(
      { target: 'a.test', port: 8001, priority: 10, weight: 5 },
      { target: 'b.test', port: 8002, priority: 10, weight: 0 },
      { target: 'c.test', port: 8003, priority: 5000, weight: 65_535 },
    ),
    { 'A a.test': addresses('10.0.0.1'), 'A b.test': addresses('10.0.0.2'), 'AAAA c.test': addresses('fd00::3') },
    { priority: 3, protocol: 'https' },
  )
  await p.balancer.ready()
  expect(told(p).map(({ after }) => after)).toEqual([
    { url: 'https://10.0.0.1:8001', weight: 5, priority: 3, serverName: 'a.test' },
    { url: 'https://10.0.0.2:8002', weight: 1, priority: 3, serverName: 'b.test' },
    { url: 'https://[fd00::3]:8003', weight: 65_535, priority: 4, serverName: 'c.test' },
  ])
})

it('SRV: a change of weight keeps the state, and is told with before and after', async () => {
  const host = { 'A a.test': addresses('10.0.0.1') }
  const p = await services(srv({ target: 'a.test', port: 8001, weight: 5 }), host)
  await p.balancer.ready()
  p.balancer.pick()
  p.dns.zone.set(`SRV ${service}`, srv({ target: 'a.test', port: 8001, weight: 7 }))
  await p.later(() => told(p).length === 2)
  expect(told(p)[1]).toMatchObject({ change: 'changed', before: { weight: 5 }, after: { weight: 7 } })
  expect(p.balancer.snapshot().backends).toMatchObject([{ id: '10.0.0.1:8001', weight: 7, picks: 1, inFlight: 1 }])
})

it('SRV: a target that does not resolve keeps the addresses that it had, while it is announced', async () => {
  const hosts = { 'A a.test': addresses('10.0.0.1'), 'A b.test': addresses('10.0.0.2') }
  const both = srv({ target: 'a.test', port: 80 }, { target: 'b.test', port: 80 })
  const p = await services(both, hosts)
  await p.balancer.ready()
  p.dns.zone.set('A b.test', 'nxdomain')
  await p.later(() => p.of('discovery.failed').length === 1)
  expect([p.ids(), p.of('discovery.failed')[0].discovery]).toMatchObject([
    ['10.0.0.1:80', '10.0.0.2:80'],
    { cause: 'not-found', kept: 2 },
  ])
  p.dns.zone.set(`SRV ${service}`, srv({ target: 'a.test', port: 80 }))
  await p.later(() => p.ids().length === 1)
  expect(p.of('discovery.recovered')).toHaveLength(1)
})

it.each([
  ['the root as a target', srv({ target: '.', port: 80 })],
  ['port 0', srv({ target: 'a.test', port: 0 })],
  ['no record', { records: [] } as const],
])('SRV: %s is an empty set', async (_, reply) => {
  const p = await services(reply, { 'A a.test': addresses('10.0.0.1') })
  await expect(p.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(p.of('discovery.failed')).toMatchObject([{ discovery: { cause: 'empty', kept: 0 } }])
})

it('SRV: a target that no backend can have costs the round, not the process', async () => {
  const p = await services(srv({ target: 'a b.test', port: 80 }), { 'A a b.test': addresses('10.0.0.1') })
  await expect(p.balancer.ready()).rejects.toMatchObject({ code: 'discovery-failed' })
  expect(p.of('discovery.failed')).toMatchObject([{ discovery: { cause: 'bad-response' } }])
})

it('SRV: of two records with one address and port the preferred one counts', async () => {
  const p = await services(
    srv({ target: 'b.test', port: 80, priority: 2, weight: 9 }, { target: 'a.test', port: 80, priority: 1, weight: 4 }),
    { 'A a.test': addresses('10.0.0.1'), 'A b.test': addresses('10.0.0.1') },
  )
  await p.balancer.ready()
  expect(told(p).map(({ after }) => after)).toMatchObject([{ weight: 4, priority: 0, serverName: 'a.test' }])
})

it('leaves no timer and asks no more once it is closed, also in the midst of a question', async () => {
  const p = await pool({ [`A ${name}`]: 'silence' }, { record: 'A', timeoutMs: 60_000 })
  await until(() => p.dns.asked.length === 1)
  await p.balancer.close()
  expect(p.clock.timers).toBe(0)
  expect(p.of('discovery.failed')).toEqual([])
})
