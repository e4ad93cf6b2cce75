// What is recorded of probes and attempts: the summary each minute, and each probe if that is wanted.
import { setImmediate } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { newBackendState } from '../../src/backend.ts'
import { HealthSummary } from '../../src/health/summary.ts'
import { answering } from '../support/backends.ts'
import { type FakeClock, fakeClock } from '../support/fake-clock.ts'
import { backendOf, statesOf } from '../support/pool.ts'
import { until } from '../support/until.ts'
import { watched } from '../support/watched.ts'

type Told = Parameters<ConstructorParameters<typeof HealthSummary>[1]>[0]['lb']

function summary(clock: FakeClock = fakeClock()) {
  const told: Told[] = []
  return { clock, told, summary: new HealthSummary(clock, ({ lb }) => void told.push(lb)) }
}
const minute = 60_000_000
const nothing = { probes_ok: 0, probes_failed: 0, attempts_ok: 0, attempts_failed: 0 }

it('each minute tells what was counted in it, and how long each backend was available', () => {
  const s = summary()
  const [a, b] = statesOf(1, 1) as [ReturnType<typeof newBackendState>, ReturnType<typeof newBackendState>]
  s.summary.watch([a, b])
  s.summary.probed(a, true)
  s.summary.probed(a, false)
  s.summary.attempted(a, true)
  s.summary.attempted(a, true)
  s.summary.attempted(b, false)
  s.clock.advance(10_000)
  b.active = 'unhealthy'
  s.summary.turned(b)
  s.clock.advance(5000)
  // Out for two reasons is out once.
  b.passive = 'ejected'
  s.summary.turned(b)
  b.active = 'healthy'
  s.summary.turned(b)
  s.clock.advance(5000)
  b.passive = 'ok'
  s.summary.turned(b)
  s.clock.advance(40_000)
  expect(s.told).toEqual([
    {
      period_us: minute,
      backends: [
        {
          id: 'b0',
          probes_ok: 1,
          probes_failed: 1,
          attempts_ok: 2,
          attempts_failed: 0,
          available_us: minute,
          unavailable_us: 0,
        },
        { id: 'b1', ...nothing, attempts_failed: 1, available_us: 50_000_000, unavailable_us: 10_000_000 },
      ],
    },
  ])
  s.clock.advance(60_000)
  expect(s.told[1]!.backends[0]).toEqual({ id: 'b0', ...nothing, available_us: minute, unavailable_us: 0 })
  expect(s.clock.timers).toBe(1)
})

it.each([
  ['draining', { admin: 'draining' }],
  ['disabled', { admin: 'disabled' }],
  ['unhealthy', { active: 'unhealthy' }],
  ['ejected', { passive: 'ejected' }],
  ['of weight 0', { config: backendOf('b0', 0) }],
] as const)('one that is %s is not available', (_, members) => {
  const s = summary()
  s.summary.watch([{ ...newBackendState(backendOf('b0')), ...members }])
  s.clock.advance(60_000)
  expect(s.told[0]!.backends[0]).toMatchObject({ available_us: 0, unavailable_us: minute })
})

it('counts by identity: who left is told of once more, who comes again under its id is another one', () => {
  const s = summary()
  const [a, b] = statesOf(1, 1) as [ReturnType<typeof newBackendState>, ReturnType<typeof newBackendState>]
  const again = newBackendState(backendOf('b0', 1, 81))
  s.summary.watch([a, b])
  s.summary.attempted(a, true)
  s.clock.advance(15_000)
  s.summary.watch([again, b])
  s.clock.advance(15_000)
  // One that left and is the same again counts on; the time between is nobody's.
  s.summary.watch([again])
  s.clock.advance(10_000)
  s.summary.watch([again, b])
  s.clock.advance(20_000)
  const times = (told: Told) => told.backends.map((one) => [one.id, one.attempts_ok, one.available_us / 1e6])
  expect(times(s.told[0]!)).toEqual([
    ['b0', 1, 15],
    ['b1', 0, 50],
    ['b0', 0, 45],
  ])
  s.clock.advance(60_000)
  expect(times(s.told[1]!)).toEqual([
    ['b1', 0, 60],
    ['b0', 0, 60],
  ])
})

it('no timer runs while there is nobody to watch, and none after the end', () => {
  const s = summary()
  s.summary.watch([])
  expect(s.clock.timers).toBe(0)
  const states = statesOf(1)
  s.summary.watch(states)
  expect(s.clock.timers).toBe(1)
  s.summary.attempted(states[0]!, true)
  s.summary.watch([])
  expect([s.clock.timers, s.told]).toEqual([0, []])
  s.summary.watch(states)
  s.summary.close()
  s.summary.close()
  s.summary.attempted(states[0]!, true)
  s.clock.advance(120_000)
  expect([s.clock.timers, s.told]).toEqual([0, []])
})

it('at the end tells of probes that no summary has told of yet', () => {
  const s = summary()
  const states = statesOf(1)
  s.summary.watch(states)
  s.clock.advance(1500)
  s.summary.probed(states[0]!, false)
  s.summary.close()
  expect(s.told).toEqual([
    {
      period_us: 1_500_000,
      backends: [{ id: 'b0', ...nothing, probes_failed: 1, available_us: 1_500_000, unavailable_us: 0 }],
    },
  ])
})

it('many backends with long names are told in several events, none of them too long for a line', () => {
  const s = summary()
  const states = Array.from({ length: 1001 }, (_, i) => newBackendState(backendOf(`${i}`.padEnd(128, 'x'))))
  s.summary.watch(states)
  s.clock.advance(60_000)
  expect(s.told.map(({ backends }) => backends.length)).toEqual([200, 200, 200, 200, 200, 1])
  for (const told of s.told) expect(JSON.stringify(told).length).toBeLessThan(60_000)
})

it('a balancer tells it, of probes, requests and health alike', async () => {
  const clock = fakeClock()
  let well = true
  const w = watched({
    backends: [{ id: 'a', url: 'http://127.0.0.1:1' }],
    health: {
      active: {
        intervalMs: 10_000,
        fastIntervalMs: 10_000,
        fall: 1,
        probe: () => {
          if (!well) throw new Error('ill')
        },
      },
    },
    clock,
  })
  w.balancer.pick().done({ result: 'ok' })
  w.balancer.pick().done({ result: 'backend-reset' })
  w.balancer.pick().done({ result: 'client-gone' })
  for (let second = 0; second < 60; second++) {
    well = second < 30
    clock.advance(1000)
    await setImmediate()
  }
  const [{ lb, outcome, severity }, ...more] = w.of('health.summary')
  expect(more).toEqual([])
  expect([outcome, severity, lb.pool, lb.config_revision, lb.period_us]).toEqual(['success', 9, 'balancer', 1, minute])
  const [one] = lb.backends
  expect(one).toMatchObject({ id: 'a', attempts_ok: 1, attempts_failed: 1 })
  expect(one.probes_ok).toBeGreaterThanOrEqual(3)
  expect(one.probes_failed).toBeGreaterThanOrEqual(2)
  expect(one.available_us + one.unavailable_us).toBe(minute)
  const down = w.of('backend.health_changed').find(({ backend }) => backend.to === 'unhealthy')
  expect(one.available_us).toBe(down.audit.mono_us)
  await w.ops.update({ health: { passive: false } })
  const before = w.of('health.summary').length
  clock.advance(600_000)
  expect(w.of('health.summary')).toHaveLength(before)
  expect(w.of('backend.probed')).toEqual([])
})

it('a drained backend is not available', async () => {
  const clock = fakeClock()
  const w = watched({ backends: [{ id: 'a', url: 'http://127.0.0.1:1' }], clock })
  clock.advance(20_000)
  await w.ops.drain('a')
  clock.advance(10_000)
  await w.ops.undrain('a')
  clock.advance(30_000)
  expect(w.of('health.summary')[0].lb.backends).toEqual([
    { id: 'a', ...nothing, available_us: 50_000_000, unavailable_us: 10_000_000 },
  ])
})

it('with `each` every probe is told, before of the change that it makes, in words that are safe', async () => {
  const backend = await answering((response) => response.writeHead(backend.seen.length > 1 ? 500 : 200).end())
  const w = watched({
    backends: [{ id: 'a', url: backend.url }],
    health: { active: { intervalMs: 10, timeoutMs: 600_000, fall: 2 }, record: 'each' },
  })
  await until(() => w.of('backend.health_changed').length === 2)
  const told = w.events.filter(({ event_name }) => event_name.startsWith('backend.')).slice(0, 5)
  expect(
    told.map(({ event_name, outcome, severity, backend: { failures, successes, last_error } }) => [
      event_name,
      outcome,
      severity,
      failures,
      successes,
      last_error,
    ]),
  ).toEqual([
    ['backend.probed', 'success', 9, 0, 1, undefined],
    ['backend.health_changed', 'success', 9, 0, 1, undefined],
    ['backend.probed', 'failure', 13, 1, 0, 'status 500'],
    ['backend.probed', 'failure', 13, 2, 0, 'status 500'],
    ['backend.health_changed', 'failure', 13, 2, 0, 'status 500'],
  ])
  await w.ops.update({
    health: {
      active: { intervalMs: 10, fall: 1, probe: () => Promise.reject(new Error('\u001b[2J\ud800 \u202eevil')) },
      record: 'each',
    },
  })
  const words = () => w.of('backend.probed').at(-1).backend.last_error
  await until(() => words() !== 'status 500')
  expect(words()).toBe('\\x1b[2J\ufffd \\u{202e}evil')
})
