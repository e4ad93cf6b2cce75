// The configuration: defaults, and one error that lists everything that is wrong.
import { describe, expect, it } from 'vitest'
import { createAudit } from '../src/audit/create.ts'
import { createBalancer } from '../src/balancer.ts'
import { parseConfig } from '../src/config.ts'
import { BalancerError } from '../src/errors.ts'
import type { Sink } from '../src/sink.ts'
import { fileSink } from '../src/sinks/file.ts'
import { strategies } from '../src/strategies/index.ts'
import { tempFolder } from './support/folder.ts'
import { collect, memoryStore } from './support/sinks.ts'

const known = strategies.map(({ name }) => name).join(', ')

function refusal(make: () => unknown): BalancerError {
  try {
    make()
  } catch (error) {
    expect(error).toBeInstanceOf(BalancerError)
    expect((error as BalancerError).code).toBe('config-invalid')
    return error as BalancerError
  }
  throw new Error('expected a refusal')
}
const problems = (options: unknown) =>
  Object.fromEntries(
    refusal(() => createBalancer(options as never)).problems.map(({ path, message }) => [path, message]),
  )

it('has the defaults that the design names', () => {
  const { pool, name } = parseConfig({ backends: ['http://a', { url: 'https://b' }] })
  expect(name).toBe('balancer')
  expect(pool).toMatchObject({
    strategy: { name: 'power-of-two' },
    health: {
      passive: {
        failures: 5,
        statuses: [500, 502, 503, 504],
        ejectionMs: 10_000,
        maxEjectionMs: 300_000,
        maxEjectedPercent: 50,
      },
      record: 'summary',
    },
    retry: { retries: 2 },
    host: 'keep',
    access: { allow: [], deny: [] },
    draining: [],
  })
  expect(pool.health.active).toBeUndefined()
  expect(pool.backends).toEqual([
    { id: 'a:80', url: 'http://a', address: 'a', port: 80, weight: 1, priority: 0 },
    { id: 'b:443', url: 'https://b', address: 'b', port: 443, weight: 1, priority: 0 },
  ])
  expect(Object.isFrozen(pool)).toBe(true)
})

it('a pool may be empty', () => {
  expect(createBalancer({ backends: [] }).pick().backend).toBeUndefined()
})

it('lists every problem at once, each with its place and what was expected', () => {
  const error = refusal(() =>
    createBalancer({
      backends: [
        5,
        'ftp://x',
        'http://a/path',
        { url: 'http://b', id: 'b', wieght: 1 },
        { url: 'http://c', weight: -1 },
        { id: 'd', url: 'http://d' },
        { id: 'd', url: 'http://e' },
      ],
      strategy: 'fastest',
      health: { active: { path: 'x', intervalMs: '5', foo: 1 }, passive: { failures: 0 }, pasive: {} },
      retry: { retries: 99, methods: ['get'] },
      timeouts: { headerMs: null },
      host: 'client',
      access: { deny: ['10.0.0.0/99'] },
      control: { authorize: 'me' },
      audit: { sinks: [{}], whenUnavailable: 'refuse', lvl: 1, redact: { headers: { keep: [5] } } },
      name: 'my pool',
      loglevel: 'debug',
    } as never),
  )
  expect(error.message.split('\n')).toEqual(
    [
      'what was given is not valid: createBalancer has 23 problems',
      '  backends[0]: expected a URL, or an object with `url`, got 5',
      '  backends[1]: expected an http:// or https:// URL, got "ftp://x"',
      '  backends[2]: expected a URL without path, query and fragment, got "http://a/path"',
      '  backends[3].wieght: unknown option',
      '  backends[4].weight: expected at least 0, got -1',
      '  backends[6].id: expected distinct ids, got "d" twice',
      `  strategy: expected one of ${known}, or a strategy object, got "fastest"`,
      '  health.active.path: expected a path that begins with /, got "x"',
      '  health.active.intervalMs: expected a number, got a text of 1 character',
      '  health.active.foo: unknown option',
      '  health.passive.failures: expected at least 1, got 0',
      '  health.pasive: unknown option',
      '  retry.retries: expected at most 10, got 99',
      '  retry.methods[0]: expected a method in capitals, got "get"',
      '  timeouts.headerMs: expected a number, got null',
      '  host: expected "keep" or "backend", or an object with `name`, got a text of 6 characters',
      '  access.deny[0]: expected an IP address or a CIDR range, got "10.0.0.0/99"',
      '  name: expected 1 to 64 of the characters A-Z a-z 0-9 . _ -, got "my pool"',
      '  control.authorize: expected a function (actor, change) => boolean, got a text of 2 characters',
      '  audit.sinks[0]: expected a sink: an object with `name` and a function `write`, got an object',
      '  audit.redact.headers.keep[0]: expected text, got 5',
      '  audit.lvl: unknown option',
      "  audit.whenUnavailable: 'refuse' needs a file sink with durability 'group' or 'remote'",
      '  loglevel: unknown option',
    ].map((line) => line.replace('23 problems', `${error.problems.length} problems`)),
  )
  expect(error.problems).toHaveLength(24)
})

describe.each([
  [undefined, { '(the whole)': 'expected an object, got nothing' }],
  [{}, { backends: 'expected a list, got nothing' }],
  [{ backends: 'http://a' }, { backends: 'expected a list, got a text of 8 characters' }],
  [{ backends: [{}] }, { 'backends[0].url': 'expected text, got nothing' }],
  [{ backends: [null] }, { 'backends[0]': 'expected a URL, or an object with `url`, got null' }],
  [
    { backends: ['http://u:hunter2@x'] },
    { 'backends[0]': 'expected a URL without user and password, got a text of 18 characters' },
  ],
  [{ backends: [{ url: 'http://x', weight: 1.5 }] }, { 'backends[0].weight': 'expected an integer, got 1.5' }],
  [{ backends: [{ url: 'http://x', weight: 65_536 }] }, { 'backends[0].weight': 'expected at most 65535, got 65536' }],
  [
    { backends: [{ url: 'http://x', id: '' }] },
    { 'backends[0].id': 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ : [ ] -, got empty text' },
  ],
  [{ backends: ['http://a', 'http://a:80'] }, { 'backends[1].id': 'expected distinct ids, got "a:80" twice' }],
  [
    { backends: ['nope', 'neither'] },
    {
      'backends[0]': 'expected an http:// or https:// URL, got "nope"',
      'backends[1]': 'expected an http:// or https:// URL, got "neither"',
    },
  ],
  [{ backends: [], strategy: null }, { strategy: `expected one of ${known}, or a strategy object, got null` }],
  [{ backends: [], strategy: { name: 'first', spice: 1 } }, { 'strategy.spice': 'unknown option' }],
  [
    { backends: [], strategy: { name: 'x' } },
    {
      'strategy.name': `expected one of ${known}, or a strategy object, got "x"`,
    },
  ],
  [
    { backends: [], strategy: { pick: 1 } },
    {
      strategy:
        'expected a strategy: an object with a `name`, a function `pick`, and functions where it has `rebuild`, `observe`, `memory` or `recall`, got an object',
    },
  ],
  [
    { backends: [], slowStart: { windowMs: 5 }, split: true, panic: 5, affinity: { cookie: {} } },
    {
      'affinity.cookie.secret': 'expected text, or a list, got nothing',
      panic: 'expected false, or an object with `thresholdPercent`, got 5',
      'slowStart.windowMs': 'expected at least 20, got 5',
      split: 'expected false, or an object of shares by group, got true',
    },
  ],
  [
    { backends: [], health: { active: true } },
    { 'health.active': 'expected false, or an object of probe options, got true' },
  ],
  [
    { backends: [], health: { passive: null } },
    { 'health.passive': 'expected false, or an object of ejection options, got null' },
  ],
  [
    { backends: [], health: { active: { statuses: { from: 300, to: 200 } } } },
    { 'health.active.statuses': 'expected `from` not above `to`, got an object' },
  ],
  [{ backends: [], audit: 5 }, { audit: 'expected audit options, or a trail made by createAudit, got 5' }],
  [
    { backends: [], audit: { sinks: [{ write() {} }] } },
    { 'audit.sinks[0]': 'expected a sink: an object with `name` and a function `write`, got an object' },
  ],
  [
    { backends: [], audit: { sinks: [{ name: 'a', write() {}, fillter: {}, Flush() {}, onclose() {}, clsoe() {} }] } },
    {
      'audit.sinks[0].fillter': 'unknown member; the nearest is `filter`',
      'audit.sinks[0].clsoe': 'unknown member; the nearest is `close`',
    },
  ],
  [
    { backends: [], audit: { sinks: [{ name: 'a', write() {}, feed: { line: 1, bytes: 0 } }] } },
    {
      'audit.sinks[0].feed.bytes': 'expected an integer from 1, and of ms at most a day, got 0',
      'audit.sinks[0].feed.line': 'unknown option',
    },
  ],
  [
    {
      backends: [],
      audit: {
        sinks: [{ name: 'a', write() {}, filter: { log: ['traffic'], events: ['request.*', 'confg.*', 'app.x'] } }],
      },
    },
    {
      'audit.sinks[0].filter.events[1]': 'there is no event "confg.*"; the nearest is "config.*"',
      'audit.sinks[0].filter.log': 'unknown option',
    },
  ],
  [
    { backends: [], audit: { redact: { query: { keep: 'x' } } } },
    { 'audit.redact.query.keep': 'expected a list of names, or "all", got a text of 1 character' },
  ],
  [
    { backends: [], audit: { logger: {} } },
    { 'audit.logger': 'expected an object with functions `warn` and `error`, got an object' },
  ],
  [{ backends: [], clock: 5 }, { clock: 'expected an object with functions `now`, `monoUs`, `after`, got 5' }],
  [{ backends: [], random: {} }, { random: 'expected an object with a function `uint32`, got an object' }],
])('%j', (options, expected) => {
  it('says what is wrong', () => expect(problems(options)).toEqual(expected))
})

it('a trail with a file sink has its name and its key there', () => {
  const sinks = [fileSink({ dir: tempFolder() })]
  const { problems } = refusal(() =>
    createBalancer({ backends: [], audit: { instance: 'a', key: { file: 'k' }, sinks } }),
  )
  const message = 'is for a trail without a file sink: give it to fileSink'
  expect(problems).toEqual(['instance', 'key'].map((part) => ({ path: `audit.${part}`, message })))
})

it('a trail without a file sink needs the key that it is told of', () => {
  const refused = (file: string) => refusal(() => createBalancer({ backends: [], audit: { key: { file } } })).message
  expect(refused('/no/such/key')).toContain('/no/such/key holds no signing key: ENOENT')
  expect(refused('package.json')).toContain('package.json holds no signing key: ')
})

type Filter = NonNullable<Sink['filter']>

describe('a sink that responses wait for', () => {
  const problems = (filter: Filter, whenUnavailable: 'drop' | 'refuse' = 'drop') => {
    const sinks = [
      fileSink({ dir: tempFolder(), durability: 'remote', remote: 'siem' }),
      { ...collect('siem'), filter },
    ]
    return refusal(() => createAudit({ sinks, whenUnavailable })).problems
  }
  const problem = (name: string) => [
    { path: 'sinks', message: `durability 'remote' waits for "siem", whose filter keeps ${name} from it` },
  ]

  it.each<Filter>([
    { logs: ['control', 'security'] },
    { events: ['config.*', 'audit.*'] },
    { severity: 13 },
    { logs: ['traffic'], events: ['request.received'] },
  ])('must get their lines, and does not by %j', (filter) => {
    expect(problems(filter)).toEqual(problem('request.completed'))
  })

  it('must get what has to be recorded before a request is forwarded, too', () => {
    expect(problems({ events: ['request.completed'] }, 'refuse')).toEqual(problem('request.received'))
  })

  it.each<[Filter, 'drop' | 'refuse']>([
    [{ logs: ['traffic'], events: ['request.*'], severity: 9 }, 'refuse'],
    [{ events: ['request.completed'] }, 'drop'],
    [() => false, 'refuse'],
  ])('gets them by %o under `%s`, as far as is known', async (filter, whenUnavailable) => {
    const store = memoryStore({ durability: 'remote', remote: 'siem' })
    await createAudit({ sinks: [store, { ...collect('siem'), filter }], whenUnavailable }).close({ deadlineMs: 0 })
  })
})

it('a trail has at most one file sink, and sinks of distinct names', () => {
  const refused = (options: object) =>
    refusal(() => createAudit(options)).problems.map(({ path, message }) => [path, message])
  const file = () => fileSink({ dir: './nowhere', durability: 'group' })
  expect(refused({ sinks: [file(), file()] })).toEqual([['sinks', 'expected at most one file sink, got 2']])
  expect(refused({ sinks: [collect('x'), collect('x')] })).toEqual([
    ['sinks', 'expected distinct names, got "x" twice'],
  ])
  expect(refused({ sinks: [collect('file'), file()] })).toEqual([
    ['sinks', 'expected distinct names, got "file" twice'],
  ])
  expect(refused({ sinks: [fileSink({ dir: './nowhere' })], whenUnavailable: 'refuse' })).toHaveLength(1)
  expect(refused({ whenUnavailable: 'refuse' })).toHaveLength(1)
})
