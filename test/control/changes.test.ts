// Changes: every verb, its record, its revision and its hash.
import { expect, it } from 'vitest'
import { BalancerError } from '../../src/errors.ts'
import { codeOf, watched } from '../support/watched.ts'

const pool = () =>
  watched({
    backends: [
      { id: 'a', url: 'http://a' },
      { id: 'b', url: 'http://b', weight: 2, zone: 'eu' },
    ],
    name: 'edge',
  })
const idsOf = (w: ReturnType<typeof pool>) => w.balancer.snapshot().backends.map(({ id }) => id)

it('each verb makes one revision, with actor, before, after and the exact changes', async () => {
  const w = pool()
  const added = { url: 'http://c', weight: 1, admin: 'ready' }
  const steps: [() => Promise<number>, object][] = [
    [
      () => w.ops.addBackend({ id: 'c', url: 'http://c' }),
      { changes: [{ path: '/backends/c', to: added }], before: { backends: {} }, after: { backends: { c: added } } },
    ],
    [
      () => w.ops.setWeight('c', 5),
      {
        changes: [{ path: '/backends/c/weight', from: 1, to: 5 }],
        before: { backends: { c: { weight: 1 } } },
        after: { backends: { c: { weight: 5 } } },
      },
    ],
    [() => w.ops.drain('b'), { changes: [{ path: '/backends/b/admin', from: 'ready', to: 'draining' }] }],
    [() => w.ops.undrain('b'), { changes: [{ path: '/backends/b/admin', from: 'draining', to: 'ready' }] }],
    [
      () => w.ops.update({ strategy: 'round-robin', retry: { retries: 0 } }),
      {
        changes: [
          { path: '/retry/retries', from: 2, to: 0 },
          { path: '/strategy/name', from: 'power-of-two', to: 'round-robin' },
        ],
      },
    ],
    [
      () => w.ops.remove('a'),
      {
        changes: [{ path: '/backends/a', from: { url: 'http://a', weight: 1, admin: 'ready' } }],
        after: { backends: {} },
      },
    ],
  ]
  let revision = 1
  for (const [change, config] of steps) {
    expect(await change()).toBe(++revision)
    const event = w.of('config.changed').at(-1)
    expect(event).toMatchObject({
      actor: { id: 'ops', type: 'user' },
      outcome: 'success',
      config: { source: 'api', revision, ...config },
    })
    expect(event.lb).toEqual({ pool: 'edge', config_revision: revision, config_hash: event.config.hash })
    expect(w.balancer.snapshot()).toMatchObject({ revision, hash: event.config.hash })
  }
  expect(w.of('config.changed')).toHaveLength(steps.length)
  expect(idsOf(w)).toEqual(['b', 'c'])
  expect(w.balancer.pick().decision.strategy).toBe('round-robin')
})

it('a fresh balancer has revision 1, and the same configuration the same hash wherever it is', async () => {
  const one = pool()
  const two = pool()
  expect(one.balancer.snapshot()).toMatchObject({ revision: 1 })
  expect(one.of('balancer.ready').length + one.of('balancer.started').length).toBeLessThan(2)
  expect(one.balancer.snapshot().hash).toBe(two.balancer.snapshot().hash)
  expect(one.balancer.snapshot().hash).toMatch(/^[0-9a-f]{64}$/)
  await one.ops.setWeight('a', 3)
  expect(one.balancer.snapshot().hash).not.toBe(two.balancer.snapshot().hash)
  await two.ops.setWeight('a', 9)
  await two.ops.setWeight('a', 3)
  expect(two.balancer.snapshot()).toMatchObject({ hash: one.balancer.snapshot().hash, revision: 3 })
})

it('what alters nothing makes no revision and no record', async () => {
  const w = pool()
  const before = w.balancer.snapshot()
  const same = [
    () => w.ops.setWeight('b', 2),
    () => w.ops.undrain('a'),
    () => w.ops.update({}),
    () => w.ops.update({ strategy: 'power-of-two' }),
    () => w.ops.update({ strategy: { name: 'power-of-two' } }),
    () => w.ops.update({ strategy: undefined } as never),
    () => w.ops.update({ retry: {} }),
  ]
  for (const change of same) expect(await change()).toBe(1)
  expect(w.balancer.snapshot()).toEqual(before)
  expect(w.of('config.changed')).toEqual([])
})

it('a strategy of the user’s own is replaced by another one of the same name', async () => {
  const own = (i: number) => ({ name: 'own', pick: (all: readonly never[]) => all[i] })
  const w = watched({ backends: ['http://a', 'http://b'], strategy: own(0) })
  expect(await w.ops.update({ strategy: own(1) })).toBe(2)
  expect(w.balancer.pick().backend?.id).toBe('b:80')
})

it('concurrent changes run one after the other, each upon what the last one left', async () => {
  const w = pool()
  const weights = Array.from({ length: 20 }, (_, i) => i + 10)
  expect(await Promise.all(weights.map((weight) => w.ops.setWeight('a', weight)))).toEqual(weights.map((_, i) => i + 2))
  const changes = w.of('config.changed').map(({ config }) => [config.changes[0].from, config.changes[0].to])
  expect(changes).toEqual(weights.map((weight, i) => [weights[i - 1] ?? 1, weight]))
})

it('ids that every object has as a member are ids like any other', async () => {
  const w = pool()
  for (const id of ['constructor', '__proto__', 'toString']) {
    await w.ops.addBackend({ id, url: `http://${id.replaceAll('_', '')}` })
    expect(w.of('config.changed').at(-1).config.changes).toEqual([
      { path: `/backends/${id}`, to: expect.objectContaining({ weight: 1 }) },
    ])
    await w.ops.setWeight(id, 4)
    expect(w.of('config.changed').at(-1).config.changes).toEqual([{ path: `/backends/${id}/weight`, from: 1, to: 4 }])
    await w.ops.remove(id)
  }
  expect(idsOf(w)).toEqual(['a', 'b'])
})

it.each([
  ['backend-unknown', 'drain', ['nope']],
  ['backend-unknown', 'undrain', ['nope']],
  ['backend-unknown', 'remove', ['nope']],
  ['backend-unknown', 'setWeight', ['nope', 1]],
  ['backend-unknown', 'drain', [undefined]],
  ['backend-exists', 'addBackend', [{ id: 'a', url: 'http://x' }]],
  ['config-invalid', 'addBackend', ['nope']],
  ['config-invalid', 'addBackend', [undefined]],
  ['config-invalid', 'setWeight', ['a', -1]],
  ['config-invalid', 'setWeight', ['a', 1.5]],
  ['config-invalid', 'setWeight', ['a', '5']],
  ['config-invalid', 'setWeight', ['a', 65_536]],
  ['config-invalid', 'update', [{ name: 'other' }]],
  ['config-invalid', 'update', [{ audit: {} }]],
  ['config-invalid', 'update', [{ strategy: 'x', retry: { retries: 99 } }]],
  ['config-invalid', 'update', [5]],
  ['config-invalid', 'update', [null]],
  ['config-invalid', 'update', [{ backends: ['http://a', 'http://a'] }]],
  ['config-invalid', 'drain', ['a', { mesage: 'typo' }]],
  ['config-invalid', 'drain', ['a', { message: 5 }]],
  ['config-invalid', 'setWeight', ['a', 3, { message: 'x'.repeat(1025) }]],
  ['config-invalid', 'remove', ['a', 'because']],
] as const)('%s: %s%j is rejected and recorded, and changes nothing', async (code, verb, args) => {
  const w = pool()
  const before = w.balancer.snapshot()
  expect(await codeOf((w.ops[verb] as (...all: readonly unknown[]) => Promise<number>)(...args))).toBe(code)
  expect(w.balancer.snapshot()).toEqual(before)
  expect(w.of('config.changed')).toEqual([])
  expect(w.of('config.rejected')).toHaveLength(1)
  expect(w.of('config.rejected')[0]).toMatchObject({
    actor: { id: 'ops' },
    outcome: 'failure',
    config: { code, attempted: { type: expect.any(String) } },
  })
  // The next change is made as if nothing had been.
  expect(await w.ops.setWeight('a', 7, { message: 'canary', ticket: 'OPS-7' })).toBe(2)
  expect(w.of('config.changed')[0].config).toMatchObject({ message: 'canary', ticket: 'OPS-7' })
})

it('what was attempted is recorded without passwords, live objects and endless structures', async () => {
  const w = pool()
  const endless: Record<string, unknown> = { list: [] }
  endless.self = endless
  await codeOf(w.ops.addBackend('http://root:hunter2@c/'))
  await codeOf(
    w.ops.update({
      strategy: { name: 'x', pick: () => undefined, endless },
      x: endless,
      y: new Map(),
      z: '\ud800',
      f() {},
    } as never),
  )
  const text = JSON.stringify(w.of('config.rejected'))
  expect(text).not.toContain('hunter2')
  expect(w.of('config.rejected')[1].config.attempted.arguments).toMatchObject({
    strategy: { custom: true, name: 'x' },
    y: '[object Map]',
    z: { length: 1 },
    f: '[function f]',
  })
})

it('an actor that is none is refused', () => {
  const { balancer } = pool()
  for (const actor of [
    undefined,
    {},
    { id: '', type: 'user' },
    { id: 'x', type: 'robot' },
    { id: 'x', type: 'user', role: 1 },
  ]) {
    expect(() => balancer.as(actor as never)).toThrow(BalancerError)
  }
})
