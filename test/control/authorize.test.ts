// authorize: who may change what.
import { expect, it } from 'vitest'
import type { Authorize } from '../../src/control/authorize.ts'
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
  await until(() => clock.timers > 0)
  clock.advance(10_000)
  expect(await hung).toBe('change-refused')
  expect(await next).toBe(2)
  expect(w.of('access.denied')[0].access.detail).toMatch(/no answer within 10000 ms/)
})
