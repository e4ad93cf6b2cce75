// The host's own entries: its denials and its `app.*` events.
import { expect, it } from 'vitest'
import { createAudit } from '../../src/audit/create.ts'
import { schemaFaults } from '../support/schemas.ts'
import { memoryStore } from '../support/sinks.ts'
import { codeOf, watched } from '../support/watched.ts'

it('a denial carries rule, phase, actor, client, and what the host adds', () => {
  const w = watched({ backends: [], name: 'edge' })
  w.balancer.audit.record('access.denied', {
    rule: 'login',
    phase: 'admin',
    detail: 'no\nsuch\u001b[31m user',
    request_id: 'r1',
    actor: { id: 'm\u0000allory', type: 'user' },
    client: { address: '192.0.2.1', agent: 'x' },
    tries: 3,
  })
  expect(w.of('access.denied')[0]).toMatchObject({
    outcome: 'failure',
    severity: 13,
    access: { rule: 'login', phase: 'admin', detail: 'no\\x0asuch\\x1b[31m user' },
    actor: { id: 'm\\x00allory', type: 'user' },
    client: { address: '192.0.2.1', source: 'given' },
    lb: { request_id: 'r1', pool: 'edge', config_revision: 1 },
    app: { tries: 3 },
  })
  w.balancer.audit.record('access.denied', { rule: 'x' })
  expect(w.of('access.denied')[1].access).toEqual({ rule: 'x', phase: 'request' })
})

it('fields of an app event are bounded and escaped, and what is left out is marked', () => {
  const w = watched({ backends: [] })
  const deep = { a: { b: { c: { d: { e: { f: { g: { h: { i: 1 } } } } } } } } }
  w.balancer.audit.record('app.order.paid', {
    n: 1,
    ratio: 0.5,
    big: 10n,
    none: null,
    no: undefined,
    when: new Date(0),
    bad: new Date(Number.NaN),
    lone: '\ud800',
    nl: 'a\nb\\',
    long: 'x'.repeat(2000),
    list: Array.from({ length: 70 }, (_, i) => i),
    wide: Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, i])),
    deep,
  })
  const { app } = w.of('app.order.paid')[0]
  expect(app).toMatchObject({
    n: 1,
    ratio: '0.5',
    big: '10',
    none: null,
    when: '1970-01-01T00:00:00.000Z',
    bad: 'an invalid date',
    lone: '\\u{d800}',
    nl: 'a\\x0ab\\\\',
  })
  expect(app).not.toHaveProperty('no')
  expect(app.long).toBe(`${'x'.repeat(1024)}[+976]`)
  expect(app.list).toHaveLength(65)
  expect(app.list[64]).toBe('[+6]')
  expect(Object.keys(app.wide)).toHaveLength(65)
  expect(app.wide['[+]']).toBe(6)
  expect(JSON.stringify(app.deep)).toContain('[too deep]')
})

it.each(['x', 'app', 'app.', 'app.X', 'app.a b', 'balancer.started', '*', `app.${'a'.repeat(121)}`])(
  '%s is no name for one',
  (name) => {
    const w = watched({ backends: [] })
    expect(() => w.balancer.audit.record(name as 'app.x', {})).toThrow(
      expect.objectContaining({ code: 'event-unknown' }),
    )
  },
)

it.each([undefined, {}, { rule: '' }, { rule: 'x', phase: 'later' }, { rule: 'x', actor: { id: 'y' } }])(
  '%j is no denial',
  (given) => {
    const audit = createAudit()
    expect(() => audit.record('access.denied', given as never)).toThrow(
      expect.objectContaining({ code: 'config-invalid' }),
    )
  },
)

it('a denial of what nobody expected is recorded, cut where it is too long', () => {
  const w = watched({ backends: [] })
  const long = 'x'.repeat(300)
  w.balancer.audit.record('access.denied', {
    rule: long,
    request_id: long,
    actor: { id: '', type: 'user', auth: long },
    client: { address: long },
  })
  const cut = `${'x'.repeat(256)}[+44]`
  expect(w.of('access.denied')[0]).toMatchObject({
    access: { rule: cut },
    lb: { request_id: cut },
    actor: { id: '', type: 'user', auth: cut },
    client: { address: cut },
  })
})

it('an actor has one spelling in all events: letters stay, what does not show is escaped', async () => {
  const w = watched({ backends: [], control: { authorize: ({ id }) => !id.startsWith('eve') } })
  let retries = 3
  for (const [id, told] of [
    ['J\u00fcrgen', 'J\u00fcrgen'],
    ['CORP\\alice', 'CORP\\alice'],
    ['CORP\\xavier', 'CORP\\\\xavier'],
    ['a\u009b\u202eb', 'a\\x9b\\u{202e}b'],
  ] as const) {
    const actor = { id, type: 'user', auth: id } as const
    w.balancer.audit.record('access.denied', { rule: 'r', actor })
    await w.balancer.as(actor).update({ retry: { retries: retries++ } }, { message: id, ticket: id })
    const { actor: who, config } = w.of('config.changed').at(-1)
    expect(who).toEqual({ id: told, type: 'user', auth: told })
    expect(w.of('access.denied').at(-1).actor).toEqual(who)
    expect([config.message, config.ticket]).toEqual([told, told])
  }
  await codeOf(w.balancer.as({ id: 'eve\u202e', type: 'user' }).update({ retry: { retries: 0 } }))
  for (const name of ['config.rejected', 'access.denied']) {
    const text = JSON.stringify(w.of(name).at(-1))
    expect(text).toContain('by user eve\\\\u{202e}')
    expect(text).not.toContain('\u202e')
  }
})

it('holes of a list, and values that throw when they are read, have a text', () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store] })
  const bad = {
    toString: () => {
      throw new Error('no')
    },
    get member() {
      throw new Error('no')
    },
  }
  // biome-ignore lint/suspicious/noSparseArray: that is what is tested.
  expect(() => audit.record('app.x', { list: [, 1], bad, fine: 2 })).not.toThrow()
  return audit.ready().then(() => {
    expect(store.events('traffic')[0].app).toEqual({
      list: ['undefined', 1],
      bad: { toString: '[function]', member: '[unreadable]' },
      fine: 2,
    })
  })
})

it('a reading of the log carries who, what, and how much', () => {
  const w = watched({ backends: [], name: 'edge' })
  w.balancer.audit.record('audit.read', {
    actor: { id: 'auditor', type: 'user', auth: 'oidc' },
    verb: 'query',
    filters: { since: '7d', path: '/a\n' },
    count: 212,
    client: { address: '192.0.2.1' },
    request_id: 'r1',
    case: 'INC-77',
  })
  expect(w.of('audit.read')[0]).toMatchObject({
    outcome: 'success',
    severity: 9,
    actor: { id: 'auditor', type: 'user', auth: 'oidc' },
    log: { verb: 'query', filters: { since: '7d', path: '/a\\x0a' }, count: 212 },
    client: { address: '192.0.2.1', source: 'given' },
    lb: { request_id: 'r1', pool: 'edge', config_revision: 1 },
    app: { case: 'INC-77' },
  })
})

it('a reading goes to the security log, from a trail without a balancer too', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store] })
  audit.record('audit.read', { actor: { id: 'cli', type: 'system' }, verb: 'verify' })
  await audit.ready()
  expect(store.events('security')).toMatchObject([{ event_name: 'audit.read', log: { verb: 'verify' } }])
})

it.each([
  {},
  { verb: 'query' },
  { actor: { id: 'a', type: 'user' } },
  { actor: { id: 'a', type: 'user' }, verb: 'query', count: -1 },
])('%j is no reading', (given) => {
  expect(() => createAudit().record('audit.read', given as never)).toThrow(
    expect.objectContaining({ code: 'config-invalid' }),
  )
})

it('a value that leads to itself, many times over, is bounded all the same', () => {
  const w = watched({ backends: [] })
  const all: object[] = []
  for (let i = 0; i < 64; i++) all.push({ all, n: i })
  w.balancer.audit.record('app.x', { all })
  const text = JSON.stringify(w.of('app.x')[0].app)
  expect(text).toMatch(/"\[\+\d+\]"/)
  expect(text.length).toBeLessThan(65_535)
})

it('what has no members to list is told as what it is', () => {
  const w = watched({ backends: [] })
  const key = 'k'.repeat(128)
  w.balancer.audit.record('app.x', {
    principal: undefined,
    run: () => 'source text',
    sign: Symbol('s'),
    error: Object.assign(new TypeError('https://u:p@host\nfailed'), { code: 'E1' }),
    map: new Map<unknown, unknown>([
      ['a', 1],
      [{ b: 2 }, undefined],
    ]),
    set: new Set(['a']),
    bytes: [Buffer.from('secret'), new Uint16Array(3), new ArrayBuffer(2), new DataView(new ArrayBuffer(1))],
    huge: 1n << 5000n,
    [`${key}x`]: 1,
    [`${key}y`]: 2,
    [`${key}z`]: 3,
  })
  expect(w.of('app.x')[0].app).toEqual({
    run: '[function]',
    sign: 'Symbol(s)',
    error: { name: 'TypeError', message: 'https://host\\x0afailed', code: 'E1' },
    map: [
      ['a', 1],
      [{ b: 2 }, 'undefined'],
    ],
    set: ['a'],
    bytes: [{ length: 6 }, { length: 6 }, { length: 2 }, { length: 1 }],
    huge: '[bigint]',
    [`${key}[+1]`]: 1,
    [`${key}[+1][2]`]: 2,
    [`${key}[+1][3]`]: 3,
  })
})

it('no more is read of a value than is kept', () => {
  const w = watched({ backends: [] })
  let reads = 0
  const list = new Proxy(new Array(1_000_000).fill(0), {
    get: (target, key, receiver) => {
      reads++
      return Reflect.get(target, key, receiver)
    },
  })
  const wide = {}
  for (let i = 0; i < 1000; i++) Object.defineProperty(wide, `k${i}`, { enumerable: true, get: () => ++reads })
  class Endless extends Map<number, number> {
    override get size() {
      return 1e9
    }
    override *[Symbol.iterator](): Generator<[number, number], undefined> {
      for (let i = 0; ; i++) yield [i, ++reads]
    }
  }
  w.balancer.audit.record('app.x', { list, wide, map: new Endless(), bytes: Buffer.alloc(2_000_000) })
  const { app } = w.of('app.x')[0]
  expect(reads).toBeLessThan(300)
  expect([app.list.at(-1), app.wide['[+]'], app.map.at(-1)]).toEqual(['[+999936]', 936, '[+999999936]'])
})

it('of a text that is too long to look through only the beginning is looked at, and no password is left in it', () => {
  const w = watched({ backends: [] })
  const long = 'x'.repeat(1_000_000)
  w.balancer.audit.record('app.x', {
    long,
    url: `https://user:${long}@host/`,
    coded: `https%3A%2F%2Fuser:${long}@host/`,
    card: `${' '.repeat(65_530)}4111 1111 1111 1111${long}`,
    inside: `https://u:p@${'a/'.repeat(600)}${long}`,
  })
  const { app } = w.of('app.x')[0]
  expect(app).toEqual({
    long: `${'x'.repeat(1024)}[+${1_000_000 - 1024}]`,
    url: 'https[+1000014]',
    coded: 'https[+1000020]',
    card: expect.stringMatching(/^ *\[\+\d+\]$/),
    inside: expect.stringMatching(/^https:\/\/(a\/){508}\[\+\d+\]$/),
  })
})

it('what is asked of a log is bounded as a whole, and its line is valid', async () => {
  const store = memoryStore()
  const audit = createAudit({ sinks: [store] })
  const filters = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [`k${i}`, Array.from({ length: 60 }, () => 'x'.repeat(200))]),
  )
  audit.record('audit.read', { actor: { id: 'a', type: 'user' }, verb: 'query', filters, case: 'INC-1' })
  await audit.ready()
  const [event] = store.events('security')
  expect(schemaFaults('audit.read', event)).toBeUndefined()
  expect(event).toMatchObject({ log: { filters: { k0: filters.k0 } }, app: { case: 'INC-1' } })
  expect(event.audit).not.toHaveProperty('truncated')
})
