// What is refused: wherever in a configuration a secret is put by mistake, no line tells it, and an error only where it may be
// a misspelt name.
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { createBalancer } from '../src/balancer.ts'
import type { BalancerOptions, PoolChanges } from '../src/config.ts'
import { BalancerError } from '../src/errors.ts'
import { withoutRefused } from '../src/refused.ts'
import { withoutKey } from '../src/secret.ts'
import { collect, keepLogger } from './support/sinks.ts'
import { authority } from './support/tls.ts'

const ca = authority()
afterAll(() => ca.remove())
const identity = ca.issue('DNS:client.test')

type Path = readonly (string | number)[]
type Tree = Record<string | number, unknown>

/** One of each kind of option that there is. */
const whole = (): Tree => ({
  backends: [
    'http://127.0.0.1:1',
    {
      id: 'b',
      url: 'https://127.0.0.1:2',
      weight: 2,
      zone: 'z',
      group: 'g',
      socketPath: '/run/b',
      tls: { ...identity },
    },
  ],
  discovery: [{ type: 'iterable', name: 'it', from: async function* () {}, allowEmpty: false }],
  strategy: { name: 'consistent-hash', key: { header: 'x-user' }, algorithm: 'ring' },
  health: {
    active: {
      path: '/healthz',
      method: 'GET',
      host: 'h',
      headers: { authorization: 'x' },
      statuses: { from: 200, to: 299 },
    },
    passive: { failures: 3, statuses: [500] },
    record: 'each',
  },
  slowStart: { windowMs: 1000 },
  panic: { thresholdPercent: 20 },
  split: { g: 5, default: 95 },
  locality: { zone: 'z' },
  affinity: { cookie: { name: 'lb', secret: ['x'.repeat(16)], path: '/', secure: true, sameSite: 'lax' } },
  traceRate: 0.5,
  retry: { retries: 1, methods: ['GET'] },
  queue: {},
  timeouts: { headerMs: 1000 },
  tls: { ...identity, minVersion: 'TLSv1.3', rejectUnauthorized: true },
  host: { name: 'h.test' },
  forwarded: 'both',
  headers: {
    request: [
      { set: 'x-a', to: 'x' },
      { rename: 'x-b', to: 'x-c' },
      { replace: 'x-d', match: 'x', with: 'y' },
    ],
    response: [{ add: 'x-e', to: () => 'x' }, { remove: 'x-f' }],
  },
  path: [{ stripPrefix: '/a' }, { replace: /a/, with: 'b' }],
  trustProxy: { from: ['loopback'], header: 'forwarded' },
  limits: {},
  transport: 'direct',
  access: { allow: ['127.0.0.1'], deny: [] },
})

const isInner = (value: unknown): value is Tree =>
  Array.isArray(value) ||
  (typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype)

function pathsOf(value: unknown, path: Path = []): Path[] {
  if (!isInner(value)) return [path]
  const names = Array.isArray(value) ? value.map((_, i) => i) : Object.keys(value)
  return [path, ...names.flatMap((name) => pathsOf(value[name], [...path, name]))]
}
const paths = pathsOf(whole()).filter((path) => path.length > 0)

/** How a secret can come, besides bare. */
const forms: Readonly<Record<string, (marker: string) => unknown>> = {
  bare: (marker) => marker,
  'in a list': (marker) => [marker],
  'in lists': (marker) => [[marker], [{ secret: marker }]],
  'as a member': (marker) => ({ authorization: marker }),
  'deep within': (marker) => ({ a: { b: [{ c: marker }] } }),
  'as a password': (marker) => `http://u:${marker}@h.test`,
  'as a password of no URL': (marker) => `http//u:${marker}@h.test`,
  'in a query': (marker) => `/p?token=${marker}`,
  'in a query of no path': (marker) => `p q?token=${marker}`,
  'in a fragment': (marker) => `https://h.test/#${marker}`,
  'as PEM': (marker) => `-----BEGIN PRIVATE KEY-----\n${marker}\n-----END PRIVATE KEY-----`,
  'as bytes': (marker) => Buffer.from(marker),
  'that cannot be sent': (marker) => `${marker}\u0000`,
}

/** Places that take a text too, though something else stands there. */
const namesToo = ['strategy', 'backends.1']
/** And a list of texts. */
const listsToo = ['trustProxy']
const isSecret = (path: Path): boolean =>
  path.includes('tls') ||
  path.includes('secret') ||
  path.at(-2) === 'headers' ||
  /^(to|with|match)$/.test(String(path.at(-1)))

interface Planted {
  readonly options: Tree
  /** Whether a text of its kind belongs there, so that a message may show it. */
  readonly shown: boolean
}

function planted(path: Path, how: 'replaced' | 'misspelt' | 'unknown', form: string, marker: string): Planted {
  const options = whole()
  const last = path.at(-1)!
  const parent = path.slice(0, -1).reduce((at, part) => at[part] as Tree, options)
  const made = forms[form]!(marker)
  if (how === 'unknown' && isInner(parent[last]) && !Array.isArray(parent[last])) {
    Object.assign(parent[last], { unknown: made })
    return { options, shown: false }
  }
  if (how === 'misspelt' && !Array.isArray(parent)) {
    delete parent[last]
    parent[`${last}x`] = made
    return { options, shown: false }
  }
  const before = parent[last]
  const isText = typeof before === 'string' || namesToo.includes(path.join('.'))
  parent[last] = made
  const bare = form === 'bare' || form === 'that cannot be sent'
  const isName = isText ? bare : (Array.isArray(before) || listsToo.includes(path.join('.'))) && form === 'in a list'
  return { options, shown: isName && !isSecret(path) }
}

const refusalOf = async (act: () => unknown): Promise<BalancerError | undefined> => {
  try {
    await act()
    return undefined
  } catch (error) {
    if (error instanceof BalancerError) return error
    throw error
  }
}

it('a secret that stands anywhere by mistake is in no line, and in no message but in the place of a name', async () => {
  const kept = collect()
  const balancer = createBalancer({ backends: [], audit: { sinks: [kept], logger: keepLogger() } })
  const ops = balancer.as({ id: 'test', type: 'user' })
  const refused: string[] = []
  let count = 0
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...paths),
      fc.constantFrom('replaced' as const, 'misspelt' as const, 'unknown' as const),
      fc.constantFrom(...Object.keys(forms)),
      async (path, how, form) => {
        const marker = `mk${String(++count).padStart(5, '0')}zq`
        const { options, shown } = planted(path, how, form, marker)
        const error = await refusalOf(() => ops.update(options as PoolChanges))
        // What is accepted is told as any configuration is.
        if (error === undefined) return
        refused.push(marker)
        const start = await refusalOf(() =>
          createBalancer({ ...options, audit: { sinks: [], logger: keepLogger() } } as unknown as BalancerOptions),
        )
        for (const { code, message, problems } of [error, start!]) {
          expect(code).toBe('config-invalid')
          if (!shown) expect(`${message}${JSON.stringify(problems)}`).not.toContain(marker)
        }
      },
    ),
    { numRuns: 200 },
  )
  await balancer.close({ deadlineMs: 60_000 })
  const lines = kept.lines().join('\n')
  expect(refused.length).toBeGreaterThan(50)
  for (const marker of refused) {
    expect(lines).not.toContain(marker)
    expect(lines).not.toContain(Buffer.from(marker).toString('base64').slice(0, 8))
  }
})

it('every place is told by kind and length, and the rest is as it was', () => {
  const given = { a: 'text', b: { c: [1, 'two', { d: true }], e: null }, f: 'kept', g: Buffer.from('x'), h: 'both' }
  const told = withoutRefused(
    given,
    [['a'], ['b', 'c', 1], ['b', 'e'], ['g'], ['h'], ['h'], ['no', 'such']],
    withoutKey,
  )
  expect(JSON.parse(JSON.stringify(told))).toEqual({
    a: { json: { length: 4 } },
    b: { c: [1, { json: { length: 3 } }, { d: true }], e: { json: null } },
    f: 'kept',
    g: { json: { length: 1 } },
    h: { json: { length: 4 } },
  })
  const inner = withoutRefused({ a: { b: ['x', 5, 6n, Number.NaN, undefined] } }, [['a']], withoutKey)
  expect(inner).toEqual({ a: { json: { b: [{ length: 1 }, '[number]', '[bigint]', '[number]', null] } } })
  expect(withoutRefused('all', [[]], withoutKey)).toEqual({ json: { length: 3 } })
})
