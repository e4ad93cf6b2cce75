// The seam to the log: what is not taken is counted, and a log that cannot be opened is lived without.
import { describe, expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { auditSchema } from '../../src/audit/options.ts'
import { Trail } from '../../src/audit/trail.ts'
import { createBalancer } from '../../src/balancer.ts'
import { answering } from '../support/backends.ts'
import { edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { collect, keepLogger, memoryStore } from '../support/sinks.ts'
import { until } from '../support/until.ts'
import { codeOf } from '../support/watched.ts'

const closedStore = (refuses = { now: true }) =>
  memoryStore({
    opening: async () => {
      if (refuses.now) throw new Error('no volume')
    },
  })

it('what the log does not take is told before the next line, with counts by type', async () => {
  const store = memoryStore()
  const other = collect()
  const audit = createAudit({ sinks: [store, other] })
  await audit.ready()
  audit.record('app.a', {})
  store.takes = false
  for (let i = 0; i < 3; i++) audit.record('app.a', {})
  audit.record('app.b', {})
  store.takes = true
  audit.record('app.c', {})
  const traffic = store.events('traffic')
  expect(traffic.map(({ event_name }) => event_name)).toEqual(['app.a', 'audit.gap', 'app.c'])
  expect(traffic[1]).toMatchObject({
    outcome: 'failure',
    severity: 17,
    log: { count: 4, by_type: { 'app.a': 3, 'app.b': 1 }, reason: 'backlog' },
  })
  expect(traffic.map(({ audit: { index } }) => index)).toEqual([0, 1, 2])
  const { undelivered } = await audit.close()
  expect(undelivered).toEqual({})
  expect(other.lines().sort()).toEqual([...store.lines.traffic, ...store.lines.control].sort())
  expect(store.events('control').at(-1)).toMatchObject({ event_name: 'audit.closed', log: { gaps: 4 } })
})

it('a gap that no line followed is told at the end, and what cannot be told is returned', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store] })
  await audit.ready()
  store.takes = false
  audit.record('app.a', {})
  store.takes = true
  await audit.close()
  expect(store.events('traffic')[0]).toMatchObject({ event_name: 'audit.gap', log: { count: 1 } })
  const full = memoryStore()
  const other = createAudit({ sinks: [full] })
  await other.ready()
  full.takes = false
  other.record('app.a', {})
  expect((await other.close()).undelivered).toEqual({ memory: 2 })
})

it('at the end a gap waits until the log has room for it, but not without end', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store] })
  await audit.ready()
  store.takes = false
  audit.record('app.a', {})
  // What waited is written, as by a disk that was full.
  store.persist = async () => {
    store.takes = true
  }
  expect((await audit.close()).undelivered).toEqual({})
  expect(store.events('traffic')).toMatchObject([
    { event_name: 'audit.gap', log: { count: 1, by_type: { 'app.a': 1 } } },
  ])
  expect(store.events('control').at(-1)).toMatchObject({ event_name: 'audit.closed', log: { gaps: 1 } })
  const stuck = memoryStore({ takes: false, persist: () => new Promise(() => undefined) })
  const other = createAudit({ sinks: [stuck] })
  await other.ready()
  other.record('app.a', {})
  expect((await other.close({ deadlineMs: 100 })).undelivered).toEqual({ memory: 3 })
})

it('events from before it was open stand in it in their order, behind audit.opened', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store], service: 'shop' })
  for (let i = 0; i < 5; i++) audit.record('app.x', { i })
  await audit.ready()
  expect(store.events('traffic').map(({ app }) => app.i)).toEqual([0, 1, 2, 3, 4])
  expect(store.events('traffic')[0]).toMatchObject({ service: { name: 'shop', instance: { id: 'one' } } })
  expect(store.events('control')[0]).toMatchObject({
    event_name: 'audit.opened',
    log: { origins: { traffic: { origin: 'shop/one/traffic/00', next: 0 } } },
  })
})

it('a log that cannot be opened: ready rejects, other sinks get every line, and requests are served', async () => {
  const other = collect()
  const logger = keepLogger()
  const backend = await answering()
  const e = await edge([backend], { audit: { sinks: [closedStore(), other], logger } })
  expect(await codeOf(e.balancer.ready())).toBe('sink-unavailable')
  expect((await fetch(`http://127.0.0.1:${e.port}/`)).status).toBe(200)
  await until(() => other.events('request.completed').length === 1)
  expect(logger.told.map(({ fields, message }) => [fields.sink, message])).toEqual([
    ['memory', 'an audit sink cannot be opened'],
  ])
  const { undelivered } = await e.balancer.close()
  expect(undelivered.memory).toBe(other.events().length)
})

it('under `refuse` nothing is served that cannot be recorded', async () => {
  const backend = await answering()
  const store = memoryStore()
  const e = await edge([backend], { audit: { sinks: [store], whenUnavailable: 'refuse', logger: keepLogger() } })
  const get = async () => (await fetch(`http://127.0.0.1:${e.port}/`)).status
  expect(await get()).toBe(200)
  store.faults = { traffic: 'EIO' }
  expect(await get()).toBe(503)
  store.faults = {}
  store.persist = async () => {
    throw new Error('EIO')
  }
  expect(await get()).toBe(503)
  expect(backend.seen).toHaveLength(1)
  const done = await e.completed(3)
  expect(done.map(({ lb }) => lb.result)).toEqual(['ok', 'audit-unavailable', 'audit-unavailable'])
})

it.each([
  ['drop', 200],
  ['refuse', 503],
] as const)(
  'while the sink that responses wait for is known to fail, `%s` answers %i at once, and a change is refused',
  async (whenUnavailable, status) => {
    const store = memoryStore({ durability: 'remote', remote: 'siem' })
    const siem = collect('siem', { intervalMs: 1 })
    const write = siem.write.bind(siem)
    let down = false
    siem.write = async (batch, signal) => {
      if (down) throw new Error('away')
      await write(batch, signal)
    }
    const logger = keepLogger()
    const backend = await answering()
    const e = await edge([backend], { audit: { sinks: [store, siem], whenUnavailable, logger } })
    const get = async () => (await fetch(`http://127.0.0.1:${e.port}/`)).status
    expect(await get()).toBe(200)
    down = true
    e.balancer.audit.record('app.x', {})
    await until(() => logger.told.some(({ message }) => message.startsWith('an audit sink fails')))
    const began = performance.now()
    expect(await Promise.all([get(), get()])).toEqual([status, status])
    const change = e.balancer.as({ type: 'user', id: 'x' }).setWeight(`127.0.0.1:${backend.port}`, 2)
    expect(await codeOf(change)).toBe('change-unrecorded')
    expect(performance.now() - began).toBeLessThan(5000)
    down = false
    await until(() => siem.events('request.completed').length === 3)
    expect(await get()).toBe(200)
  },
)

it.each([
  ['drop', 200, 1],
  ['refuse', 503, 0],
] as const)(
  'a line that the sink which responses wait for has refused is not accepted: `%s` answers %i',
  async (whenUnavailable, status, forwarded) => {
    const store = memoryStore({ durability: 'remote', remote: 'siem' })
    const siem = collect('siem', { intervalMs: 1 })
    const write = siem.write.bind(siem)
    siem.write = async (batch, signal) => {
      const poisoned = batch.lines.some((line) => line.includes('/poison'))
      if (poisoned) throw Object.assign(new Error('too bad'), { permanent: true })
      await write(batch, signal)
    }
    const backend = await answering()
    const audit = { sinks: [store, siem], whenUnavailable, logger: keepLogger() }
    const e = await edge([backend], { audit })
    const get = async (path: string) => (await fetch(`http://127.0.0.1:${e.port}${path}`)).status
    expect(await get('/')).toBe(200)
    expect(await get('/poison')).toBe(status)
    expect(backend.seen.filter(({ url }) => url === '/poison')).toHaveLength(forwarded)
    await until(() => siem.events('audit.gap').length > 0)
    // Once it has taken what came behind.
    for (let again = 503; again !== 200; ) again = await get('/')
  },
)

it('a log that is opened late tells what it has missed, and takes lines from then on', async () => {
  const clock = fakeClock()
  const refuses = { now: true }
  const store = closedStore(refuses)
  const other = collect()
  const audit = createAudit({ sinks: [store, other], clock, logger: keepLogger() })
  expect(await codeOf(audit.ready())).toBe('sink-unavailable')
  audit.record('app.x', { i: 0 })
  audit.record('access.denied', { rule: 'r' })
  clock.advance(5000)
  audit.record('app.x', { i: 1 })
  refuses.now = false
  await until(() => {
    clock.advance(1000)
    return store.lines.control.length > 0
  })
  audit.record('app.x', { i: 2 })
  const [gap, line] = store.events('traffic')
  expect(gap).toMatchObject({
    event_name: 'audit.gap',
    log: { sink: 'memory', count: 2, by_type: { 'app.x': 2 }, reason: 'store-unavailable' },
  })
  expect(line.app).toEqual({ i: 2 })
  expect(store.events('security')[0].log).toMatchObject({ count: 1, by_type: { 'access.denied': 1 } })
})

it('a log whose opening hangs does not keep close, and its instance is given back when it opens after all', async () => {
  let open = (): void => undefined
  const store = memoryStore({ opening: () => new Promise((resolve) => (open = resolve)) })
  const other = collect()
  const clock = fakeClock()
  const audit = createAudit({ sinks: [store, other], clock, logger: keepLogger() })
  audit.record('app.x', {})
  const closing = audit.close({ deadlineMs: 200 })
  // It waits for the log for half of the time.
  clock.advance(100)
  const { undelivered } = await closing
  expect(other.events('app.x')).toHaveLength(1)
  expect(undelivered.memory).toBe(other.events().length)
  open()
  await until(() => store.closed === 1)
  expect(store.lines.traffic).toEqual([])
})

it('one trail serves two balancers: each event carries its pool, and the maker closes it', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store], service: 'shop' })
  const [a, b] = ['a', 'b'].map((name) => createBalancer({ name, backends: ['http://x'], audit }))
  a!.pick()
  b!.pick()
  b!.audit.record('app.x', {})
  await a!.close({ deadlineMs: 0 })
  b!.pick()
  await b!.close({ deadlineMs: 0 })
  await audit.close()
  expect(store.events('traffic').map(({ lb }) => lb.pool)).toEqual(['a', 'b', 'b', 'b'])
  expect(
    store
      .events('control')
      .filter(({ event_name }) => event_name === 'balancer.stopped')
      .map(({ lb }) => lb.pool),
  ).toEqual(['a', 'b'])
  expect(new Set(store.events('control').map(({ service }) => service.name))).toEqual(new Set(['shop']))
  expect(store.closed).toBe(1)
})

it('balancers of one name that are open on one trail are told once; one that takes over from another is none', async () => {
  const logger = keepLogger()
  const audit = createAudit({ logger })
  const make = (name?: string) => createBalancer({ backends: [], audit, ...(name === undefined ? {} : { name }) })
  const told = () => logger.told.filter(({ message }) => message.includes('share a trail and a name'))
  const first = make()
  const edge = make('edge')
  const closing = first.close()
  const second = make()
  expect(told()).toEqual([])
  const [third, fourth] = [make(), make()]
  expect(told()).toMatchObject([{ level: 'warn', fields: { pool: 'balancer' } }])
  await Promise.all([closing, ...[edge, second, third, fourth].map((one) => one.close())])
  await audit.close()
})

it.each(['__proto__', 'constructor'])('what a sink named %s did not get is told', async (name) => {
  const sink = { ...collect(name), write: () => Promise.reject(new Error('no')) }
  const audit = createAudit({ sinks: [sink], logger: keepLogger() })
  const { undelivered } = await audit.close({ deadlineMs: 100 })
  expect(Object.entries(undelivered)).toEqual([[name, expect.any(Number)]])
})

it('a log that throws, and an event that no line can hold, lose exactly that; nothing is thrown', async () => {
  const store = memoryStore()
  const append = store.append.bind(store)
  let throws = false
  store.append = (log, index, line) => {
    if (throws) throw new Error('no such table')
    return append(log, index, line)
  }
  const logger = keepLogger()
  const audit = new Trail(auditSchema.parse({ sinks: [store], logger }), 'shop')
  audit.on('*', () => undefined)
  await audit.ready()
  throws = true
  for (let i = 0; i < 3; i++) audit.record('app.x', { i })
  throws = false
  expect(audit.emit('app.big', { app: 10n }).index).toBeUndefined()
  audit.record('app.x', { i: 3 })
  expect(store.events('traffic').map(({ event_name, log }) => [event_name, log?.count, log?.reason])).toEqual([
    ['audit.gap', 3, 'store-unavailable'],
    ['audit.gap', 1, 'invalid'],
    ['app.x', undefined, undefined],
  ])
  const faults = logger.told.map(({ fields, message }) => `${message}: ${fields.error}`)
  expect(faults.filter((one) => one.includes('no such table'))).toHaveLength(1)
  expect(faults.filter((one) => one.includes('app.big')).length).toBeLessThanOrEqual(2)
  expect((await audit.close()).undelivered).toEqual({})
})

it('what is untold is told within a second, also if nothing happens', async () => {
  const clock = fakeClock()
  const store = memoryStore()
  const audit = createAudit({ sinks: [store], clock })
  await audit.ready()
  store.takes = false
  audit.record('app.x', {})
  clock.advance(5000)
  expect(store.lines.traffic).toEqual([])
  store.takes = true
  clock.advance(1000)
  expect(store.events('traffic')).toMatchObject([{ event_name: 'audit.gap', log: { count: 1 } }])
  // That of the heartbeat.
  expect(clock.timers).toBe(1)
})

it('a change by force is written within a second of the log being well again', async () => {
  const clock = fakeClock()
  const store = memoryStore()
  const balancer = createBalancer({ backends: [], clock, audit: { sinks: [store], clock, logger: keepLogger() } })
  await balancer.ready()
  store.takes = false
  await balancer.as({ id: 'ops', type: 'user' }).update({ retry: { retries: 1 } }, { breakGlass: true })
  store.takes = true
  clock.advance(1000)
  expect(store.events('control').at(-1)).toMatchObject({ event_name: 'config.changed', config: { break_glass: true } })
})

it('a log that is opened late and takes nothing at first tells what it has missed as soon as it does', async () => {
  const clock = fakeClock()
  const refuses = { now: true }
  const store = closedStore(refuses)
  const audit = createAudit({ sinks: [store], clock, logger: keepLogger() })
  expect(await codeOf(audit.ready())).toBe('sink-unavailable')
  audit.record('app.x', {})
  refuses.now = false
  store.takes = false
  let opened = false
  store.append = ((append) => (log, index, line) => {
    opened = true
    return append.call(store, log, index, line)
  })(store.append)
  await until(() => {
    clock.advance(1000)
    return opened
  })
  store.takes = true
  clock.advance(1000)
  expect(store.events('traffic')).toMatchObject([{ event_name: 'audit.gap', log: { sink: 'memory', count: 1 } }])
})

it('a sink that hangs does not take the time of the log: it is closed beside it', async () => {
  let given = 0
  const store = memoryStore({
    close: async (deadlineMs) => {
      given = deadlineMs
      return { unwritten: 0 }
    },
  })
  const hangs = { name: 'hangs', feed: { intervalMs: 1 }, write: () => new Promise<void>(() => undefined) }
  const clock = fakeClock()
  const audit = createAudit({ sinks: [store, hangs], clock, logger: keepLogger() })
  audit.record('app.x', {})
  await audit.ready()
  let undelivered: unknown
  void audit.close({ deadlineMs: 200 }).then((closed) => {
    undelivered = closed.undelivered
  })
  await until(() => given > 0)
  expect(given).toBe(200)
  await until(() => {
    clock.advance(100)
    return undelivered !== undefined
  })
  expect(undelivered).toEqual({ hangs: 3 })
})

it.each([
  [
    'the log fails to close',
    { close: () => Promise.reject(new Error('EIO: close')) },
    'the closing of the audit log failed',
  ],
  [
    'the log throws where it should reject',
    {
      close: () => {
        throw new Error('EIO: close')
      },
    },
    'the closing of the audit log failed',
  ],
  [
    'the log does not come to its end',
    { close: () => new Promise<never>(() => undefined) },
    'the closing of the audit log failed',
  ],
  [
    'it is not given free',
    { release: () => Promise.reject(new Error('EIO: unlink')) },
    'the release of the audit log failed',
  ],
])('%s: close resolves, has closed the sinks, gives the log free, and tells it', async (_, given, message) => {
  const clock = fakeClock()
  const logger = keepLogger()
  let released = 0
  const store = memoryStore({ release: async () => void released++, ...given })
  const sink = { ...collect(), closes: 0 }
  sink.close = async () => void sink.closes++
  const audit = createAudit({ sinks: [store, sink], clock, logger })
  await audit.ready()
  audit.record('app.x', {})
  let undelivered: object | undefined
  void audit.close({ deadlineMs: 1000 }).then((closed) => {
    undelivered = closed.undelivered
  })
  await until(() => {
    clock.advance(10)
    return undelivered !== undefined
  })
  expect(undelivered).toEqual({})
  expect(sink.events('audit.closed')).toHaveLength(1)
  expect([sink.closes, 'release' in given ? 1 : released]).toEqual([1, 1])
  expect(logger.told.map((one) => one.message)).toEqual([message])
})

it('what a log that fails to close has not made durable is counted', async () => {
  const store = memoryStore({ close: () => Promise.reject(new Error('EIO: close')) })
  const { source } = store
  const bounds = (log: 'traffic' | 'security' | 'control') => ({ ...source.bounds(log), end: 0 })
  const audit = createAudit({ sinks: [Object.assign(store, { source: { ...source, bounds } })], logger: keepLogger() })
  await audit.ready()
  audit.record('app.x', {})
  // With the lines that say that it was opened and closed.
  expect((await audit.close()).undelivered).toEqual({ memory: 3 })
})

it('a delivery that does not end well keeps nothing from the others, and its lines are counted', async () => {
  const store = memoryStore()
  const [broken, good] = [collect('broken'), collect('good')]
  const logger = keepLogger()
  const audit = createAudit({ sinks: [store, broken, good], logger })
  await audit.ready()
  await until(() => broken.events('audit.opened').length + good.events('audit.opened').length === 2)
  Object.defineProperty(broken, 'close', {
    get: () => {
      throw new Error('no close')
    },
  })
  expect((await audit.close()).undelivered).toEqual({})
  expect(good.events('audit.closed')).toHaveLength(1)
  expect(logger.told.map(({ message }) => message)).toEqual(['an audit sink failed to close'])
})

it('a wait without a limit lasts until the sinks have all', async () => {
  const clock = fakeClock()
  const sink = collect('slow', { intervalMs: 10, timeoutMs: 86_400_000 })
  let accept: () => void = () => undefined
  sink.script.push(() => new Promise((resolve) => (accept = resolve)))
  const audit = createAudit({ sinks: [sink], clock, logger: keepLogger() })
  audit.record('app.x', {})
  let undelivered: object | undefined
  void audit.close({ deadlineMs: Infinity }).then((closed) => {
    undelivered = closed.undelivered
  })
  await until(() => sink.script.length === 0)
  clock.advance(3_600_000)
  for (let i = 0; i < 20; i++) await until(() => true)
  expect(undelivered).toBeUndefined()
  accept()
  await until(() => {
    clock.advance(10)
    return undelivered !== undefined
  })
  expect(undelivered).toEqual({})
  expect(sink.events('audit.closed')).toHaveLength(1)
})

describe('a rotation of the key that is asked for early', () => {
  const keys = { from: 'one', to: 'other' }

  it('waits until the log is open', async () => {
    let open: () => void = () => undefined
    const store = memoryStore({
      opening: () => new Promise((resolve) => (open = resolve)),
      rotateKey: async () => keys,
    })
    const audit = createAudit({ sinks: [store], logger: keepLogger() })
    const rotated = audit.rotateKey({ by: 'ops' })
    open()
    expect(await rotated).toEqual(keys)
    await audit.close()
    expect(await codeOf(audit.rotateKey())).toBe('closed')
  })

  it('is refused where the log cannot be opened, and made once it could', async () => {
    const clock = fakeClock()
    const refuses = { now: true }
    const store = Object.assign(closedStore(refuses), { rotateKey: async () => keys })
    const audit = createAudit({ sinks: [store], clock, logger: keepLogger() })
    expect(await codeOf(audit.rotateKey())).toBe('sink-unavailable')
    refuses.now = false
    await until(() => {
      clock.advance(5000)
      return store.events('control').length > 0
    })
    expect(await audit.rotateKey()).toEqual(keys)
    await audit.close()
  })

  it('is refused where the trail is closed before', async () => {
    const store = memoryStore({ opening: () => new Promise(() => undefined), rotateKey: async () => keys })
    const audit = createAudit({ sinks: [store], logger: keepLogger() })
    const rotated = codeOf(audit.rotateKey())
    await audit.close({ deadlineMs: 0 })
    expect(await rotated).toBe('sink-unavailable')
  })
})
