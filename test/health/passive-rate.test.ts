// Ejection by the failure rate: the window against a count by hand, and the events through leases.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { RateWindow } from '../../src/health/rate.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { watched } from '../support/watched.ts'

it('counts exactly what lies in the step under way and the nine before it', () => {
  const result = fc.record({ afterUs: fc.integer({ min: 0, max: 400_000 }), failed: fc.boolean() })
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 3000 }), fc.array(result, { maxLength: 200 }), (windowMs, results) => {
      const window = new RateWindow(windowMs)
      const stepUs = windowMs * 100
      const seen: { step: number; failed: boolean }[] = []
      let nowUs = 0
      for (const { afterUs, failed } of results) {
        nowUs += afterUs
        window.add(nowUs, failed)
        seen.push({ step: Math.floor(nowUs / stepUs), failed })
        const inside = seen.filter(({ step }) => step > Math.floor(nowUs / stepUs) - 10)
        expect(window.failures).toBe(inside.filter((one) => one.failed).length)
        expect(window.successes).toBe(inside.filter((one) => !one.failed).length)
      }
      window.clear()
      expect([window.failures, window.successes]).toEqual([0, 0])
    }),
  )
})

function pool(rate: object = {}) {
  const clock = fakeClock()
  const w = watched({
    backends: ['http://a', 'http://b'],
    strategy: 'round-robin',
    health: { passive: { failures: 1000, rate } },
    clock,
    audit: { clock },
  })
  return {
    ...w,
    clock,
    /** One result of `a`; the lease of `b` that comes by says nothing. */
    end(failed: boolean) {
      for (const lease of [w.balancer.pick(), w.balancer.pick()]) {
        const meant = lease.backend?.id === 'a:80'
        lease.done(meant ? { result: 'ok', status: failed ? 503 : 200 } : { result: 'client-gone' })
      }
    },
    passive: () => w.balancer.snapshot().backends[0]!.passive,
    changes: () => w.of('backend.health_changed').map(({ backend }) => backend),
  }
}

it('ejects at the share, once there are results enough, also when the one that makes them enough went well', () => {
  const p = pool()
  for (let i = 0; i < 10; i++) p.end(true)
  for (let i = 0; i < 9; i++) p.end(false)
  expect(p.passive()).toBe('ok')
  p.end(false)
  expect(p.changes()).toEqual([
    {
      id: 'a:80',
      axis: 'passive',
      from: 'ok',
      to: 'ejected',
      cause: 'failure-rate',
      failures: 10,
      successes: 10,
      threshold: 500,
      last_error: 'status 503',
    },
  ])
})

it('sees a burst of total failure that an average would lose among what came before', () => {
  const p = pool({ windowMs: 1000, failurePercent: 60 })
  for (let i = 0; i < 300; i++) p.end(false)
  p.clock.advance(1000)
  for (let i = 0; i < 20; i++) p.end(true)
  expect(p.changes()).toMatchObject([{ cause: 'failure-rate', failures: 20, successes: 0, threshold: 600 }])
})

it('results that are older than the window do not count', () => {
  const p = pool({ windowMs: 1000, minRequests: 2 })
  p.end(true)
  p.clock.advance(1000)
  for (let i = 0; i < 3; i++) p.end(false)
  p.end(true)
  p.end(true)
  expect(p.passive()).toBe('ok')
  p.end(true)
  expect(p.changes()).toMatchObject([{ failures: 3, successes: 3 }])
})

it('begins at nothing after the trial', () => {
  const p = pool({ windowMs: 60_000, minRequests: 4 })
  for (let i = 0; i < 4; i++) p.end(true)
  p.clock.advance(10_000)
  p.end(false)
  expect(p.passive()).toBe('ok')
  for (let i = 0; i < 3; i++) p.end(true)
  expect(p.passive()).toBe('ok')
  p.end(true)
  expect(p.passive()).toBe('ejected')
})

it('keeps what it counted through an update, unless the window changes', async () => {
  const p = pool({ minRequests: 4 })
  for (let i = 0; i < 3; i++) p.end(true)
  await p.ops.update({ health: { passive: { failures: 1000, rate: { minRequests: 5 } } } })
  p.end(true)
  expect(p.passive()).toBe('ok')
  await p.ops.update({ health: { passive: { failures: 1000, rate: { minRequests: 5, windowMs: 5000 } } } })
  for (let i = 0; i < 4; i++) p.end(true)
  expect(p.passive()).toBe('ok')
  p.end(true)
  expect(p.changes()).toMatchObject([{ failures: 5 }])
})

it('is off unless it is given', () => {
  const clock = fakeClock()
  const { balancer, of } = watched({
    backends: ['http://a', 'http://b'],
    health: { passive: { failures: 1000 } },
    clock,
    audit: { clock },
  })
  for (let i = 0; i < 200; i++) balancer.pick().done({ result: 'connect-refused' })
  expect(of('backend.health_changed')).toEqual([])
})
