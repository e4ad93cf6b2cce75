// When probes run, and what their results move: thresholds, pace, initial state, changes of options. Time is the test's own.
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { z } from 'zod'
import type { BackendState } from '../../src/backend.ts'
import { ActiveHealth, type Probed } from '../../src/health/active.ts'
import { activeSchema } from '../../src/health/probe-options.ts'
import type { Transition } from '../../src/health/transition.ts'
import { seededRandom } from '../../src/random.ts'
import { dialling } from '../support/dialling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { statesOf } from '../support/pool.ts'

type Options = z.input<typeof activeSchema>

/** Active health whose probes ask the test: `answers` by id, or well if there is none. */
function active(count = 1) {
  const clock = fakeClock()
  const states = statesOf(...Array<number>(count).fill(1))
  const transitions: Transition[] = []
  const probed: Probed[] = []
  const asked: { id: string; atMs: number }[] = []
  const answers = new Map<string, (signal: AbortSignal) => Promise<void> | void>()
  const health = new ActiveHealth({
    dial: dialling,
    clock,
    random: seededRandom(7),
    onProbe: (one) => void probed.push(one),
    onTransition: (one) => void transitions.push(one),
  })
  const config = (options: Options = {}) =>
    activeSchema.parse({
      probe: ({ id }: { id: string }, signal: AbortSignal) => {
        asked.push({ id, atMs: clock.monoUs() / 1000 })
        return answers.get(id)?.(signal)
      },
      ...options,
    })
  /** Moves time on, a ms at a time, so that every probe settles when it does. */
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      clock.advance(1)
      await setImmediate()
    }
  }
  const told = (): string[] =>
    transitions.map(({ backend, from, to, cause }) => `${backend.config.id} ${from} ${to} ${cause}`)
  return { clock, states, health, config, pass, transitions, probed, asked, answers, told }
}

const fails = (): never => {
  throw new Error('down')
}

/** The rule, said as simply as it can be. */
function model(results: readonly boolean[], initial: BackendState['active'], rise: number, fall: number): string[] {
  let state = initial
  let first = true
  let row = 0
  return results.map((ok, i) => {
    row = i > 0 && results[i - 1] === ok ? row + 1 : 1
    const to = ok ? 'healthy' : 'unhealthy'
    if (state !== to && row >= (ok ? (first ? 1 : rise) : fall)) {
      state = to
      first = false
    }
    return state
  })
}

it('after any series of results the state is what the thresholds say, and each move is told once', async () => {
  const initials = fc.constantFrom('unknown' as const, 'healthy' as const, 'unhealthy' as const)
  const small = fc.integer({ min: 1, max: 4 })
  const series = fc.array(fc.boolean(), { minLength: 1, maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(series, initials, small, small, async (results, initial, rise, fall) => {
      const a = active()
      const [backend] = a.states as [BackendState]
      let at = 0
      a.answers.set('b0', () => (results[at++] ? undefined : fails()))
      const config = a.config({ initial, rise, fall, timeoutMs: 600_000 })
      a.health.watch(a.states, config)
      const seen: string[] = []
      while (seen.length < results.length) {
        // No pause is longer than 110 % of the interval.
        a.clock.advance(config.intervalMs * 1.1)
        await setImmediate()
        if (at > seen.length) seen.push(backend.active)
        expect(at).toBe(seen.length)
      }
      a.health.close()
      const expected = model(results, initial, rise, fall)
      expect(seen).toEqual(expected)
      const path = ['unknown', initial, ...expected].filter((state, i, all) => state !== all[i - 1])
      expect(a.transitions.map(({ from, to }) => [from, to])).toEqual(path.slice(1).map((to, i) => [path[i], to]))
      for (const { cause, to, failures, successes, threshold } of a.transitions) {
        if (cause === 'initial-state') expect([failures, successes, threshold]).toEqual([0, 0, undefined])
        else {
          expect(to === 'healthy' ? failures : successes).toBe(0)
          expect(to === 'healthy' ? successes : failures).toBeGreaterThanOrEqual(threshold!)
        }
      }
    }),
    { numRuns: 300, seed: 3 },
  )
})

it('an initial state is told, and those that are unhealthy by it are so before anybody hears of one', async () => {
  const a = active(3)
  const heard: string[][] = []
  const health = new ActiveHealth({
    dial: dialling,
    clock: a.clock,
    random: seededRandom(1),
    onProbe: () => undefined,
    onTransition: (one) => {
      a.transitions.push(one)
      heard.push(a.states.map((state) => state.active))
    },
  })
  health.watch(a.states, a.config({ initial: 'unhealthy' }))
  expect(heard[0]).toEqual(['unhealthy', 'unhealthy', 'unhealthy'])
  expect(a.told()).toEqual(['b0', 'b1', 'b2'].map((id) => `${id} unknown unhealthy initial-state`))
  a.answers.set('b1', fails)
  await a.pass(250)
  expect(a.states.map((state) => state.active)).toEqual(['healthy', 'unhealthy', 'healthy'])
  const [up] = a.transitions.slice(3)
  expect(up).toMatchObject({ cause: 'probe', successes: 1, threshold: 1 })
  expect(up!.downtimeUs).toBeGreaterThanOrEqual(0)
  health.close()
})

it('an initial state is for new backends: not for those that served before probes were switched on', async () => {
  const a = active(2)
  const [old, fresh] = a.states as [BackendState, BackendState]
  a.health.watch([old], undefined)
  a.health.watch([old], a.config({ initial: 'unhealthy' }))
  expect([old.active, a.told()]).toEqual(['unknown', []])
  a.health.watch([old, fresh], a.config({ initial: 'unhealthy' }))
  expect(a.told()).toEqual(['b1 unknown unhealthy initial-state'])
  a.health.watch([old, fresh], undefined)
  expect(a.told().slice(1)).toEqual(['b1 unhealthy unknown probes-off'])
  expect(a.clock.timers).toBe(0)
})

it('looks sooner while it changes, and at the plain pace once that is settled', async () => {
  const a = active()
  const gaps = (): number[] => a.asked.map(({ atMs }, i) => atMs - (a.asked[i - 1]?.atMs ?? 0)).slice(1)
  let ok = true
  a.answers.set('b0', () => (ok ? undefined : fails()))
  a.health.watch(a.states, a.config({ intervalMs: 1000, fastIntervalMs: 100, rise: 3, fall: 3 }))
  const until = async (count: number): Promise<void> => {
    while (a.asked.length < count) await a.pass(1)
  }
  await until(3)
  ok = false
  await until(6)
  ok = true
  await until(9)
  ok = false
  await until(10)
  ok = true
  await until(13)
  const slow = (ms: number): boolean => ms >= 900 && ms <= 1100
  const fast = (ms: number): boolean => ms >= 90 && ms <= 110
  // After results: ok ok ok | no: fast, fast, unhealthy | ok: fast, fast, healthy | no: fast | ok: settled
  const expected = [slow, slow, slow, fast, fast, slow, fast, fast, slow, fast, slow, slow]
  expect(gaps().map((ms, i) => expected[i]!(ms))).toEqual(expected.map(() => true))
  expect(a.told()).toEqual(['b0 unknown healthy probe', 'b0 healthy unhealthy probe', 'b0 unhealthy healthy probe'])
  a.health.close()
})

it('two backends do not probe in lockstep', async () => {
  const a = active(2)
  a.health.watch(a.states, a.config({ intervalMs: 200 }))
  await a.pass(4000)
  a.health.close()
  const times = (id: string): number[] => a.asked.filter((one) => one.id === id).map(({ atMs }) => atMs)
  const [one, two] = [times('b0'), times('b1')]
  expect(Math.min(one.length, two.length)).toBeGreaterThan(15)
  // Pauses are drawn apart: how far the two are from each other changes from probe to probe.
  const apart = new Set(one.slice(0, 15).map((ms, i) => two[i]! - ms))
  expect(apart.size).toBeGreaterThan(5)
})

it('a backend that hangs holds up no other, and has one probe at a time', async () => {
  const a = active(2)
  let open = 0
  let most = 0
  a.answers.set('b0', async (signal) => {
    most = Math.max(most, ++open)
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    open--
  })
  a.health.watch(a.states, a.config({ intervalMs: 100, timeoutMs: 500, fall: 2 }))
  await a.pass(2000)
  expect(most).toBe(1)
  expect(a.asked.filter(({ id }) => id === 'b1').length).toBeGreaterThan(15)
  expect(a.told()).toContain('b0 unknown unhealthy probe')
  expect(a.transitions.find(({ to }) => to === 'unhealthy')!.lastError).toBe('no answer within 500 ms')
  a.health.close()
  await setImmediate()
  expect([open, a.clock.timers]).toEqual([0, 0])
})

it('new options are in force at once, also for what waits and runs by the old ones', async () => {
  const a = active(2)
  let hung: AbortSignal | undefined
  a.answers.set('b0', (signal) => {
    hung = signal
    return new Promise(() => undefined)
  })
  a.health.watch(a.states, a.config({ intervalMs: 3_600_000, timeoutMs: 600_000, fall: 2 }))
  a.clock.advance(360_000)
  await setImmediate()
  expect(a.asked.map(({ id }) => id).sort()).toEqual(['b0', 'b1'])
  a.answers.set('b0', fails)
  a.health.watch(a.states, a.config({ intervalMs: 100, fall: 2 }))
  expect(hung!.aborted).toBe(true)
  await a.pass(10)
  expect(a.asked).toHaveLength(4)
  // The one that was cut off counts for nothing.
  expect(a.probed.map(({ backend, fault }) => [backend.config.id, fault]).sort()).toEqual([
    ['b0', 'down'],
    ['b1', undefined],
    ['b1', undefined],
  ])
  a.health.close()
})

it('the same options again leave everything as it was', async () => {
  const a = active()
  const config = a.config({ intervalMs: 100 })
  a.health.watch(a.states, config)
  for (let i = 0; i < 200; i++) {
    await a.pass(1)
    a.health.watch(a.states, config)
  }
  expect(a.asked.length).toBeLessThanOrEqual(3)
  expect(a.clock.timers).toBe(1)
  a.health.close()
})

it('counts and state belong to a backend, not to its address, and survive changes of the others', async () => {
  const a = active(3)
  const [one, two, other] = a.states as [BackendState, BackendState, BackendState]
  // Two that share an address, and are told apart by id.
  two.config = { ...two.config, url: one.config.url, address: one.config.address }
  a.answers.set('b1', fails)
  const config = a.config({ intervalMs: 100, fastIntervalMs: 100, fall: 3 })
  a.health.watch([one, two], config)
  const count = (): number => a.asked.filter(({ id }) => id === 'b1').length
  while (count() < 2) await a.pass(1)
  a.health.watch([other, two, one], config)
  a.health.watch([two, one], config)
  while (count() < 3) await a.pass(1)
  expect([one.active, two.active]).toEqual(['healthy', 'unhealthy'])
  expect(a.transitions.find(({ to }) => to === 'unhealthy')).toMatchObject({ failures: 3, lastError: 'down' })
  a.health.close()
})

it('a backend that leaves has nothing left: no timer, and no result that still counts', async () => {
  const a = active(2)
  let release: (() => void) | undefined
  a.answers.set('b0', () => new Promise((resolve) => (release = resolve)))
  const config = a.config({ intervalMs: 100 })
  a.health.watch(a.states, config)
  while (release === undefined) await a.pass(1)
  a.health.watch([a.states[1]!], config)
  release()
  await a.pass(300)
  expect(a.probed.every(({ backend }) => backend === a.states[1])).toBe(true)
  expect(a.states[0]!.active).toBe('unknown')
  expect(a.clock.timers).toBe(1)
  a.health.watch([], config)
  expect(a.clock.timers).toBe(0)
})

it('who stops it while a change is told is heard: nothing is probed after that', async () => {
  const clock = fakeClock()
  const states = statesOf(1)
  const health: ActiveHealth = new ActiveHealth({
    dial: dialling,
    clock,
    random: seededRandom(1),
    onProbe: () => undefined,
    onTransition: () => health.close(),
  })
  health.watch(states, activeSchema.parse({ probe: () => undefined }))
  clock.advance(200)
  await setImmediate()
  expect([states[0]!.active, clock.timers]).toEqual(['healthy', 0])
})
