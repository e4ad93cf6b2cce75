// The capacity axis, on a clock that the test moves.
import { expect, it } from 'vitest'
import { newBackendState } from '../../src/backend.ts'
import { HealthWatch } from '../../src/health/watch.ts'
import { seededRandom } from '../../src/random.ts'
import { dialling } from '../support/dialling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { backendOf } from '../support/pool.ts'

function capacity() {
  const clock = fakeClock()
  const backend = newBackendState({ ...backendOf('a'), maxInFlight: 7 })
  let refreshed = 0
  // biome-ignore lint/suspicious/noExplicitAny: the fields of an event.
  const told: any[] = []
  const watch = new HealthWatch({
    dial: dialling,
    clock,
    random: seededRandom(1),
    eligible: () => 1,
    refresh: () => void refreshed++,
    emit: (_, fields) => {
      told.push(fields)
      return {} as never
    },
  })
  watch.watch([backend], { record: 'summary' })
  return { clock, backend, watch, told, refreshed: () => refreshed }
}

it('tells at once that a backend is full, and that it has room once it has had some for a second', () => {
  const { clock, backend, watch, told, refreshed } = capacity()
  watch.capacityChanged(backend, true)
  expect(told).toEqual([
    {
      backend: {
        id: 'a',
        axis: 'capacity',
        from: 'free',
        to: 'full',
        cause: 'max-in-flight',
        failures: 0,
        successes: 0,
        threshold: 7,
      },
      severity: 9,
      outcome: 'success',
    },
  ])
  clock.advance(400)
  watch.capacityChanged(backend, false)
  clock.advance(999)
  expect(told).toHaveLength(1)
  clock.advance(1)
  expect(told[1]).toEqual({
    backend: {
      id: 'a',
      axis: 'capacity',
      from: 'full',
      to: 'free',
      cause: 'room-again',
      failures: 0,
      successes: 0,
      downtime_us: 1_400_000,
    },
    severity: 9,
    outcome: 'success',
  })
  expect(clock.timers).toBe(0)
  // The pool is not made anew for it.
  expect(refreshed()).toBe(0)
})

it('tells at most one pair a second, with one timer, however often it changes', () => {
  const { clock, backend, watch, told } = capacity()
  for (let ms = 0; ms < 10_000; ms++) {
    watch.capacityChanged(backend, ms % 2 === 0)
    clock.advance(1)
    expect(clock.timers).toBeLessThanOrEqual(1)
  }
  expect(told).toHaveLength(1)
  clock.advance(999)
  expect(told).toHaveLength(2)
  for (let round = 0; round < 5; round++) {
    watch.capacityChanged(backend, true)
    watch.capacityChanged(backend, false)
    clock.advance(1000)
  }
  expect(told).toHaveLength(12)
})

it('has it full for as long as the last second was not without a moment when it was', () => {
  const { clock, backend, watch, told } = capacity()
  watch.capacityChanged(backend, true)
  watch.capacityChanged(backend, false)
  clock.advance(700)
  watch.capacityChanged(backend, true)
  watch.capacityChanged(backend, false)
  clock.advance(999)
  expect(told).toHaveLength(1)
  clock.advance(1)
  expect(told).toHaveLength(2)
})

it('room that nobody was told to lack is nothing to tell', () => {
  const { clock, backend, watch, told } = capacity()
  watch.capacityChanged(backend, false)
  expect([told.length, clock.timers]).toEqual([0, 0])
})

it.each(['close', 'forget'] as const)('tells nothing after %s, and leaves no timer', (end) => {
  const { clock, backend, watch, told } = capacity()
  watch.capacityChanged(backend, true)
  watch.capacityChanged(backend, false)
  if (end === 'forget') watch.watch([], { record: 'summary' })
  watch[end](backend)
  expect(clock.timers).toBe(0)
  watch.capacityChanged(backend, true)
  clock.advance(5000)
  expect(told).toHaveLength(1)
})
