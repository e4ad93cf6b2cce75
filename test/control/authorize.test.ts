// authorize: who may change what.
import { expect, it } from 'vitest'
import type { PoolChanges } from '../../src/config.ts'
import type { Authorize, ChangeRequest } from '../../src/control/authorize.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { until } from '../support/until.ts'
import { codeOf, watched } from '../support/watched.ts'

const pool = (authorize: Authorize, clock = fakeClock()) =>
  watched({ backends: [{ id: 'a', url: 'http://a' }], control: { authorize }, clock })

it.each<[string, Authorize]>([
  ['true', () => true],
  ['a promise of true', async () => true],
])('%s lets the change be made', async (_, authorize) => {
  const w = pool(authorize)
  expect(await w.ops.setWeight('a', 2)).toBe(2)
  expect(w.of('access.denied')).toEqual([])
})

it.each<[string, Authorize, RegExp]>([
  ['false', () => false, /set-weight by user ops$/],
  ['a promise of false', async () => false, /set-weight by user ops$/],
  ['a truthy value', () => 1 as never, /set-weight by user ops$/],
  ['nothing', () => undefined as never, /set-weight by user ops$/],
  [
    'a throw',
    () => {
      throw new Error('ldap down')
    },
    /authorize failed for set-weight by ops: ldap down$/,
  ],
  ['a rejection', () => Promise.reject(new Error('ldap down')), /ldap down$/],
  ['a very long complaint', () => Promise.reject(new Error('x'.repeat(100_000))), /x{100}/],
])('%s refuses it, with two records', async (_, authorize, detail) => {
  const w = pool(authorize)
  expect(await codeOf(w.ops.setWeight('a', 2))).toBe('change-refused')
  expect(w.balancer.snapshot()).toMatchObject({ revision: 1, backends: [{ weight: 1 }] })
  expect(w.of('config.rejected')[0]).toMatchObject({
    actor: { id: 'ops', type: 'user' },
    config: {
      code: 'change-refused',
      attempted: { type: 'set-weight', backend: 'a', arguments: { id: 'a', weight: 2 } },
    },
  })
  expect(w.of('access.denied')[0]).toMatchObject({
    actor: { id: 'ops' },
    outcome: 'failure',
    access: { rule: 'control.authorize', phase: 'admin' },
  })
  expect(w.of('access.denied')[0].access.detail).toMatch(detail)
  expect(w.of('access.denied')[0].access.detail.length).toBeLessThanOrEqual(2048)
})

it('is asked with the actor and what is attempted, before anything is looked at', async () => {
  const asked: unknown[] = []
  const w = pool((actor, change) => {
    asked.push([actor.id, actor.auth, change])
    return actor.type === 'service'
  })
  const bot = w.balancer.as({ id: 'bot', type: 'service', auth: 'mtls' })
  await bot.addBackend({ id: 'b', url: 'http://b' })
  await bot.update({ strategy: 'round-robin' })
  expect(await codeOf(w.ops.drain('nope'))).toBe('change-refused')
  expect(asked).toEqual([
    ['bot', 'mtls', { type: 'add-backend', backend: 'b', attempted: { backend: { id: 'b', url: 'http://b' } } }],
    ['bot', 'mtls', { type: 'update', attempted: { strategy: 'round-robin' } }],
    ['ops', undefined, { type: 'drain', backend: 'nope', attempted: { id: 'nope' } }],
  ])
})

it('one that never answers refuses after ten seconds, and holds up no later change for longer', async () => {
  const clock = fakeClock()
  const w = pool(({ id }) => (id === 'ops' ? new Promise<boolean>(() => undefined) : true), clock)
  const hung = codeOf(w.ops.setWeight('a', 2))
  const next = w.balancer.as({ id: 'bot', type: 'service' }).setWeight('a', 3)
  await until(() => clock.timers > 1)
  clock.advance(10_000)
  expect(await hung).toBe('change-refused')
  expect(await next).toBe(2)
  expect(w.of('access.denied')[0].access.detail).toMatch(/no answer within 10000 ms/)
})

it('what the caller does to its objects after the call changes nothing of what was authorised', async () => {
  const asked: ChangeRequest[] = []
  let allow = (_: boolean): void => undefined
  const w = pool((_, change) => {
    asked.push(change)
    return new Promise((resolve) => {
      allow = resolve
    })
  })
  const own = { name: 'own', pick: (all: readonly never[]) => all[0] }
  const backend = { id: 'b', url: 'http://b', weight: 2 }
  const changes = { retry: { retries: 1 }, access: { deny: ['10.0.0.0/8'] }, strategy: own }
  const note = { message: 'as said' }
  const typo = { mesage: 'typo' } as { message?: string }
  const calls = [
    w.ops.addBackend(backend, note),
    w.ops.update(changes as PoolChanges),
    codeOf(w.ops.drain('a', typo)),
  ] as const
  Object.assign(backend, { id: 'x', url: 'http://x', weight: 9 })
  note.message = 'otherwise'
  Object.assign(changes, { timeouts: { headerMs: 1 } })
  changes.retry.retries = 9
  changes.access.deny.push('0.0.0.0/0')
  Object.assign(typo, { backends: [] })
  for (const n of [1, 2, 3]) {
    await until(() => asked.length === n)
    Object.assign(backend, { url: 'http://y' })
    changes.access.deny.length = 0
    allow(true)
  }
  expect([await calls[0], await calls[1], await calls[2]]).toEqual([2, 3, 'config-invalid'])
  expect(asked.map(({ attempted }) => attempted)).toEqual([
    { backend: { id: 'b', url: 'http://b', weight: 2 } },
    { retry: { retries: 1 }, access: { deny: ['10.0.0.0/8'] }, strategy: { custom: true, name: 'own' } },
    { id: 'a' },
  ])
  const [added, updated] = w.of('config.changed').map(({ config }) => config)
  expect(added).toMatchObject({ message: 'as said', after: { backends: { b: { url: 'http://b', weight: 2 } } } })
  expect(updated.changes.map(({ path, to }: { path: string; to: unknown }) => [path, to])).toEqual([
    ['/retry/retries', 1],
    ['/access/deny', ['10.0.0.0/8']],
    ['/strategy/name', 'own'],
    ['/strategy/custom', true],
  ])
  expect(w.balancer.snapshot().backends.map(({ id, url, admin }) => [id, url, admin])).toEqual([
    ['a', 'http://a', 'ready'],
    ['b', 'http://b', 'ready'],
  ])
})

it('is not asked for changes once the balancer closes; one that it still thinks about then is refused', async () => {
  let asked = 0
  let allow = (_: boolean): void => undefined
  const w = pool(() => {
    asked++
    return new Promise((resolve) => {
      allow = resolve
    })
  })
  const early = codeOf(w.ops.setWeight('a', 2))
  await until(() => asked === 1)
  await w.balancer.close()
  allow(true)
  expect(await early).toBe('closed')
  expect(await codeOf(w.ops.setWeight('a', 3))).toBe('closed')
  expect([asked, w.balancer.snapshot().revision]).toEqual([1, 1])
})
