// Leases: picks whose hop the caller makes.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Lease } from '../../src/decision.ts'
import { attemptResults } from '../../src/outcome.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { watched } from '../support/watched.ts'

const backends = ['http://a', 'http://b']
const counts = (balancer: ReturnType<typeof watched>['balancer']) => {
  const { inFlight, backends: all } = balancer.snapshot()
  return { inFlight, each: all.map((one) => [one.inFlight, one.picks, one.failures]) }
}

it('holds its backend until it is done; a second done is ignored', () => {
  const clock = fakeClock()
  const { balancer, events } = watched({ backends, strategy: 'round-robin', clock, audit: { clock } })
  const lease = balancer.pick({ client: { address: '203.0.113.9' } })
  expect(Object.isFrozen(lease.backend)).toBe(true)
  expect(lease.decision).toMatchObject({ strategy: 'round-robin', backend: lease.backend!.id, candidates: 2 })
  expect(counts(balancer).inFlight).toBe(1)
  clock.advance(250)
  lease.done({ result: 'ok', status: 204 })
  lease.done({ result: 'connect-refused' })
  lease.done({ result: 'ok' })
  expect(counts(balancer).inFlight).toBe(0)
  expect(
    counts(balancer)
      .each.flat()
      .reduce((sum, n) => sum + n, 0),
  ).toBe(1)
  const [picked, released, ...more] = events.filter(({ event_name }) => event_name.startsWith('route.'))
  expect(more).toEqual([])
  expect(picked).toMatchObject({
    event_name: 'route.picked',
    outcome: 'success',
    client: { address: '203.0.113.9', source: 'given' },
    lb: { pool: 'balancer', config_revision: 1, decision: { backend: lease.backend!.id, excluded: [] } },
  })
  expect(released).toMatchObject({
    event_name: 'route.released',
    outcome: 'success',
    lb: { backend: lease.backend!.id, result: 'ok', status_code: 204, duration_us: 250_000 },
  })
  expect(released.lb.lease_id).toBe(picked.lb.lease_id)
})

it('has no backend when nobody is eligible, and holds nothing', () => {
  const { balancer, events } = watched({ backends: [{ url: 'http://a', weight: 0 }] })
  const lease = balancer.pick()
  expect(lease.backend).toBeUndefined()
  expect(lease.decision).toMatchObject({ reason: 'none-eligible', candidates: 0 })
  lease.done({ result: 'ok' })
  expect(counts(balancer)).toEqual({ inFlight: 0, each: [[0, 0, 0]] })
  const routes = events.filter(({ event_name }) => event_name.startsWith('route.'))
  expect(routes).toHaveLength(1)
  expect(routes[0]).toMatchObject({
    outcome: 'failure',
    lb: { decision: { reason: 'none-eligible', excluded: [{ backend: 'a:80', reason: 'weight-zero' }] } },
  })
})

it('counts as failures what is the backend’s fault, and bad statuses', () => {
  const { balancer } = watched({ backends: ['http://a'] })
  for (const result of attemptResults) balancer.pick().done({ result })
  // All but ok, queue-full, queue-timeout, client-gone, client-timeout, too-large, drain-deadline, tunnel-idle, internal and hedge-lost.
  expect(counts(balancer).each).toEqual([[0, attemptResults.length, attemptResults.length - 10]])
  balancer.pick().done({ result: 'ok', status: 503 })
  balancer.pick().done({ result: 'ok', status: 404 })
  expect(counts(balancer).each[0]![2]).toBe(attemptResults.length - 9)
})

it('takes whatever it is given without a throw, and records what fits the schema', () => {
  const { balancer, events } = watched({ backends })
  const odd: unknown[] = [
    undefined,
    null,
    {},
    { result: 'fine' },
    { result: 'ok', status: -1 },
    { result: 'ok', status: 1.5 },
  ]
  for (const given of odd) balancer.pick().done(given as never)
  for (const request of [
    null,
    5,
    { client: null },
    { client: { address: '\ud800' } },
    { client: { address: 'x'.repeat(999) } },
  ])
    balancer.pick(request as never).done({ result: 'ok' })
  expect(counts(balancer).inFlight).toBe(0)
  expect(events.filter(({ event_name }) => event_name === 'route.released')).toHaveLength(odd.length + 5)
})

it('a lease of a backend that was removed is given back like any other', async () => {
  const { balancer, events } = watched({ backends, health: { passive: { failures: 1 } } })
  const lease = balancer.pick()
  const ops = balancer.as({ id: 'ops', type: 'user' })
  await ops.remove(lease.backend!.id)
  expect(counts(balancer)).toMatchObject({ inFlight: 1, each: [[0, 0, 0]] })
  lease.done({ result: 'connect-refused' })
  expect(counts(balancer).inFlight).toBe(0)
  expect(events.filter(({ event_name }) => event_name === 'backend.health_changed')).toEqual([])
})

it('the counts are those that replaying the events gives, after any series of picks and ends', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.constant('pick' as const), fc.nat(20)), { maxLength: 60 }), (steps) => {
      const { balancer, events } = watched({
        backends: ['http://a', 'http://b', 'http://c'],
        health: { passive: false },
      })
      const open: Lease[] = []
      for (const step of steps) {
        if (step === 'pick') open.push(balancer.pick())
        else open.splice(step % (open.length + 1), 1)[0]?.done({ result: step % 3 === 0 ? 'backend-reset' : 'ok' })
      }
      const replayed = new Map(
        balancer.snapshot().backends.map(({ id }) => [id, [0, 0, 0] as [number, number, number]]),
      )
      for (const event of events) {
        if (event.event_name === 'route.picked') {
          const at = replayed.get(event.lb.decision.backend!)!
          at[0]++
          at[1]++
        } else if (event.event_name === 'route.released') {
          const at = replayed.get(event.lb.backend)!
          at[0]--
          if (event.lb.result !== 'ok') at[2]++
        }
      }
      expect(counts(balancer)).toEqual({ inFlight: open.length, each: [...replayed.values()] })
      for (const lease of open) lease.done({ result: 'ok' })
    }),
    { numRuns: 50 },
  )
})
