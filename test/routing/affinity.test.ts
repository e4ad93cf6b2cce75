// Affinity: clients stay where they were, by a cookie that only we can make or by a key.
import { describe, expect, it } from 'vitest'
import type { BalancerOptions } from '../../src/config.ts'
import type { Lease } from '../../src/decision.ts'
import { seededRandom } from '../../src/random.ts'
import type { PickRequest } from '../../src/request.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { watched } from '../support/watched.ts'

const secret = 'a secret of sixteen or more characters'
const backends = ['a', 'b', 'c'].map((id) => ({ id, url: `http://${id}` }))

function balanced(options: Partial<BalancerOptions> = {}) {
  const clock = fakeClock()
  const made = watched({
    backends,
    strategy: 'round-robin',
    affinity: { cookie: { secret } },
    random: seededRandom(3),
    clock,
    ...options,
  })
  return { ...made, clock: (options.clock as FakeClock | undefined) ?? clock }
}

const sending = (lease: Lease): PickRequest => ({ headers: { cookie: `x=1; ${lease.setCookie!.split(';')[0]}; y=2` } })

describe('by cookie', () => {
  it('a client without one is bound to what the strategy chose, and stays there', () => {
    const { balancer } = balanced()
    const first = balancer.pick()
    expect(first.decision).toMatchObject({ sticky: 'sticky-new', reason: 'next-in-rotation' })
    for (let i = 0; i < 10; i++) {
      const again = balancer.pick(sending(first))
      expect(again.backend!.id).toBe(first.backend!.id)
      expect(again.decision).toMatchObject({ sticky: 'sticky-kept', reason: 'sticky' })
      expect(again.setCookie).toBeUndefined()
    }
  })

  it('has the attributes that were asked for, and no name of a backend', () => {
    const { balancer } = balanced()
    expect(balancer.pick().setCookie).toMatch(/^lb=[\w-]{12}\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax$/)
    const other = balanced({
      affinity: {
        cookie: {
          secret,
          name: 'at',
          path: '/shop',
          maxAgeSeconds: 60,
          secure: true,
          httpOnly: false,
          sameSite: 'none',
        },
      },
    })
    expect(other.balancer.pick().setCookie).toMatch(/^at=[\w.-]+; Path=\/shop; Max-Age=60; Secure; SameSite=None$/)
  })

  it('keeps to a backend that is draining, and moves and says so when it is disabled, ejected or unhealthy', async () => {
    const { balancer, ops } = balanced()
    const first = balancer.pick()
    const id = first.backend!.id
    await ops.drain(id)
    expect(balancer.pick(sending(first)).decision).toMatchObject({ backend: id, sticky: 'sticky-kept' })
    expect(balancer.pick().backend!.id).not.toBe(id)
    await ops.undrain(id)
    for (let i = 0; i < 5; i++) balancer.pick(sending(first)).done({ result: 'connect-refused' })
    const moved = balancer.pick(sending(first))
    expect(moved.decision).toMatchObject({ sticky: 'sticky-lost', reason: 'next-in-rotation' })
    expect(moved.backend!.id).not.toBe(id)
    expect(balancer.pick(sending(moved)).backend!.id).toBe(moved.backend!.id)
  })

  it('says that the backend is lost when it has left', async () => {
    const { balancer, ops } = balanced()
    const first = balancer.pick()
    await ops.remove(first.backend!.id)
    const moved = balancer.pick(sending(first))
    expect(moved.decision.sticky).toBe('sticky-lost')
    expect(moved.setCookie).toBeDefined()
  })

  it('holds across restarts and nodes that have the secret, for whatever order of backends', () => {
    const first = balanced().balancer.pick()
    const other = balanced({ backends: [...backends].reverse(), random: seededRandom(99) })
    for (let i = 0; i < 5; i++) expect(other.balancer.pick(sending(first)).backend!.id).toBe(first.backend!.id)
  })

  it('is accepted by the old secret while a new one signs', () => {
    const first = balanced().balancer.pick()
    const next = 'another secret of many characters'
    const { balancer } = balanced({ affinity: { cookie: { secret: [next, secret] } } })
    expect(balancer.pick(sending(first)).decision).toMatchObject({
      sticky: 'sticky-kept',
      backend: first.backend!.id,
    })
    expect(balancer.pick().setCookie).not.toContain(first.setCookie!.split(';')[0])
    const without = balanced({ affinity: { cookie: { secret: next } } })
    expect(without.balancer.pick(sending(first)).decision.sticky).toBe('sticky-invalid')
  })

  it.each([
    ['nothing', ''],
    ['no signature', 'AAAAAAAAAAAA.'],
    ['another signature', 'AAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA'],
    ['what is no ASCII', `AAAAAAAAAAAA.${'é'.repeat(22)}`],
    ['64 KB', 'A'.repeat(65_536)],
  ])('a value with %s is not accepted, and the client gets a good one', (_, value) => {
    const { balancer } = balanced()
    const lease = balancer.pick({ headers: { cookie: `lb=${value}` } })
    expect(lease.decision.sticky).toBe('sticky-invalid')
    expect(balancer.pick(sending(lease)).decision.sticky).toBe('sticky-kept')
  })

  it('no single changed character of a cookie is accepted', () => {
    const { balancer } = balanced()
    const value = balancer.pick().setCookie!.slice(3, 38)
    for (let i = 0; i < value.length; i++) {
      const changed = `${value.slice(0, i)}${value[i] === 'A' ? 'B' : 'A'}${value.slice(i + 1)}`
      expect(balancer.pick({ headers: { cookie: `lb=${changed}` } }).decision.sticky).toBe('sticky-invalid')
    }
  })

  it('waits for a backend that has no room: the client does not move', () => {
    const { balancer } = balanced({ backends: backends.map((backend) => ({ ...backend, maxInFlight: 1 })) })
    const first = balancer.pick()
    const { backend, decision } = balancer.pick(sending(first))
    expect(backend).toBeUndefined()
    expect(decision).toMatchObject({ reason: 'none-eligible', sticky: 'sticky-kept' })
    expect(decision.excluded).toContainEqual({ backend: first.backend!.id, reason: 'at-capacity' })
    first.done({ result: 'ok' })
    expect(balancer.pick(sending(first)).backend!.id).toBe(first.backend!.id)
  })

  it('records the secret by its length only, in what is in force and in what was refused', async () => {
    const { events, ops } = balanced()
    await ops.update({ affinity: { cookie: { secret: `${secret}!` } } })
    await ops.update({ affinity: { cookie: { secret: `${secret}?`, name: 'not a token' } } }).catch(() => undefined)
    const told = JSON.stringify(events)
    expect(told).not.toContain('sixteen')
    expect(told.match(/"secret":\{"length":\d+\}/g)!.length).toBeGreaterThanOrEqual(3)
    expect(events.find((event) => event.event_name === 'config.changed').config.changes).toMatchObject([
      { path: '/affinity/cookie/secret' },
    ])
  })
})

describe('by key', () => {
  const from = (address: string): PickRequest => ({ client: { address } })
  const byClient = { affinity: { key: 'client', ttlMs: 60_000, max: 3 } } as const

  it('a client stays where it was', () => {
    const { balancer } = balanced(byClient)
    const [one, two] = [balancer.pick(from('10.0.0.1')), balancer.pick(from('10.0.0.2'))]
    expect(one.decision.sticky).toBe('sticky-new')
    expect(one.setCookie).toBeUndefined()
    expect(one.backend!.id).not.toBe(two.backend!.id)
    for (let i = 0; i < 6; i++) {
      expect(balancer.pick(from('10.0.0.1')).backend!.id).toBe(one.backend!.id)
      expect(balancer.pick(from('10.0.0.2')).decision).toMatchObject({ backend: two.backend!.id, reason: 'sticky' })
    }
  })

  it('is forgotten when it is not seen for long enough, and when too many others are', () => {
    const { balancer, clock } = balanced(byClient)
    balancer.pick(from('10.0.0.1'))
    clock.advance(59_000)
    expect(balancer.pick(from('10.0.0.1')).decision.sticky).toBe('sticky-kept')
    clock.advance(60_001)
    expect(balancer.pick(from('10.0.0.1')).decision.sticky).toBe('sticky-new')
    for (const last of [2, 3]) balancer.pick(from(`10.0.0.${last}`))
    expect(balancer.pick(from('10.0.0.1')).decision.sticky).toBe('sticky-kept')
    balancer.pick(from('10.0.0.4'))
    expect(balancer.pick(from('10.0.0.2')).decision.sticky).toBe('sticky-new')
    expect(balancer.pick(from('10.0.0.1')).decision.sticky).toBe('sticky-kept')
  })

  it('moves, says so and stays there when its backend has left', async () => {
    const { balancer, ops } = balanced(byClient)
    await ops.remove(balancer.pick(from('10.0.0.1')).backend!.id)
    const moved = balancer.pick(from('10.0.0.1'))
    expect(moved.decision.sticky).toBe('sticky-lost')
    expect(balancer.pick(from('10.0.0.1')).decision).toMatchObject({
      sticky: 'sticky-kept',
      backend: moved.backend!.id,
    })
  })

  it('what has no key is bound to nobody', () => {
    const { balancer } = balanced({ affinity: { key: { header: 'X-User' } } })
    const ids = Array.from({ length: 6 }, () => balancer.pick({ headers: {} }).backend!.id)
    expect(new Set(ids).size).toBe(3)
  })
})

it.each([{ cookie: { secret } }, { key: { cookie: 'x' } }])('a request that is none costs no pick: %j', (affinity) => {
  const { balancer } = balanced({ affinity })
  const throwing = {
    get headers(): never {
      throw new Error('none')
    },
  }
  for (const given of [
    null,
    5,
    throwing,
    { headers: null },
    { headers: { cookie: null } },
    { headers: { cookie: [] } },
  ])
    expect(balancer.pick(given as unknown as PickRequest).backend).toBeDefined()
})

it('bindings by key survive an update that says the same of affinity', async () => {
  const { balancer, ops } = balanced({ affinity: { key: 'path', ttlMs: 5000 } })
  const bound = balancer.pick({ path: '/a' })
  await ops.update({ affinity: { key: 'path', ttlMs: 5000 }, traceRate: 0.5 })
  expect(balancer.pick({ path: '/a' }).decision).toMatchObject({ sticky: 'sticky-kept', backend: bound.backend!.id })
  await ops.update({ affinity: { key: 'path', ttlMs: 6000 } })
  expect(balancer.pick({ path: '/a' }).decision.sticky).toBe('sticky-new')
})

it('in panic a client keeps a backend that is ejected, as it would get no better one', () => {
  const { balancer } = balanced({
    affinity: { key: 'path' },
    panic: { thresholdPercent: 100 },
    health: { passive: { failures: 1 } },
  })
  const bound = balancer.pick({ path: '/a' })
  bound.done({ result: 'connect-refused' })
  expect(balancer.snapshot().backends.find(({ id }) => id === bound.backend!.id)!.passive).toBe('ejected')
  expect(balancer.pick({ path: '/a' }).decision).toMatchObject({
    backend: bound.backend!.id,
    panic: true,
    sticky: 'sticky-kept',
  })
})
