// The passive axis against a model that looks at everything anew at each step, under random traffic and operations.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type BackendState, hasRoom } from '../../src/backend.ts'
import { passiveSchema } from '../../src/health/passive.ts'
import { HealthWatch } from '../../src/health/watch.ts'
import { seededRandom } from '../../src/random.ts'
import { dialling } from '../support/dialling.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { statesOf } from '../support/pool.ts'

const couldServe = ({ admin, config }: BackendState): boolean => admin === 'ready' && config.weight > 0

interface Given {
  readonly failures: number
  readonly ejectionMs: number
  readonly maxEjectionMs: number
  readonly maxEjectedPercent: number
}

interface One {
  readonly backend: BackendState
  passive: BackendState['passive']
  row: number
  freshMs: number
  outMs: number
  backMs: number
  lengthMs: number
  dueMs: number
  /** Which ejection of all it was: timers of one moment go in the order in which they were set. */
  turn: number
}

/** What must come out: slow, and without a thought of cost. */
class Model {
  readonly given: Given
  readonly all: One[]
  readonly told: string[] = []
  nowMs = 0
  turns = 0

  constructor(backends: readonly BackendState[], given: Given) {
    this.given = given
    this.all = backends.map((backend) => ({
      backend,
      passive: 'ok',
      row: 0,
      freshMs: 0,
      outMs: 0,
      backMs: 0,
      lengthMs: 0,
      dueMs: Number.POSITIVE_INFINITY,
      turn: 0,
    }))
  }

  get serving(): One[] {
    return this.all.filter(({ backend }) => couldServe(backend))
  }

  get mostOut(): number {
    const count = this.serving.length
    return Math.max(0, Math.min(count - 1, Math.max(1, Math.floor((count * this.given.maxEjectedPercent) / 100))))
  }

  end(backend: BackendState, startMs: number, said: 'ok' | 'failed' | 'nothing'): void {
    const one = this.all.find((each) => each.backend === backend)!
    if (said === 'nothing' || one.passive === 'ejected' || startMs < one.freshMs) return
    one.row = said === 'ok' ? 0 : one.row + 1
    if (one.passive === 'trial') {
      if (said === 'failed') this.#eject(one, 'trial-failed')
      else {
        one.backMs = this.nowMs
        this.#move(one, 'ok', 'trial-passed')
      }
    } else if (one.row >= this.given.failures) {
      const others = this.serving.filter((other) => other !== one)
      const out = others.filter(({ passive }) => passive !== 'ok').length
      const free = !couldServe(backend)
      if (free || (out + 1 <= this.mostOut && others.length > out)) this.#eject(one, 'consecutive-failures')
    }
  }

  advance(ms: number): void {
    const untilMs = this.nowMs + ms
    for (;;) {
      const next = this.all
        .filter(({ dueMs }) => dueMs <= untilMs)
        .sort((a, b) => a.dueMs - b.dueMs || a.turn - b.turn)[0]
      if (next === undefined) break
      this.nowMs = next.dueMs
      next.dueMs = Number.POSITIVE_INFINITY
      next.freshMs = this.nowMs
      this.#move(next, 'trial', 'ejection-over')
    }
    this.nowMs = untilMs
  }

  settle(): void {
    for (;;) {
      const out = this.serving.filter(({ passive }) => passive !== 'ok')
      const nobody = out.length === this.serving.length
      if (out.length === 0 || (!nobody && out.length <= this.mostOut)) return
      const rank = ({ passive, outMs }: One): number => (passive === 'trial' ? 0 : 1e9) + outMs
      const best = out.sort((a, b) => rank(a) - rank(b))[0]!
      best.row = this.given.failures - 1
      best.freshMs = this.nowMs
      best.backMs = this.nowMs
      best.dueMs = Number.POSITIVE_INFINITY
      this.told.push(`${best.backend.config.id} ${best.passive} ok ${nobody ? 'last-eligible' : 'ejection-cap'}`)
      best.passive = 'ok'
    }
  }

  #eject(one: One, cause: string): void {
    const { ejectionMs, maxEjectionMs } = this.given
    const anew = one.lengthMs === 0 || (one.passive === 'ok' && this.nowMs - one.backMs >= maxEjectionMs)
    one.lengthMs = Math.min(maxEjectionMs, anew ? ejectionMs : one.lengthMs * 2)
    one.dueMs = this.nowMs + one.lengthMs
    one.turn = ++this.turns
    if (one.passive === 'ok') one.outMs = this.nowMs
    this.#move(one, 'ejected', cause)
  }

  #move(one: One, to: One['passive'], cause: string): void {
    this.told.push(`${one.backend.config.id} ${one.passive} ${to} ${cause}`)
    one.passive = to
    this.settle()
  }
}

interface Lease {
  readonly backend: BackendState
  readonly startMs: number
}

const at = fc.nat(1000)
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ verb: fc.constant('pick' as const), at }) },
  {
    weight: 6,
    arbitrary: fc.record({ verb: fc.constant('end' as const), at, said: fc.constantFrom('ok', 'nothing') }),
  },
  { weight: 8, arbitrary: fc.record({ verb: fc.constant('end' as const), at, said: fc.constant('failed') }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('wait' as const), at: fc.nat(120) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constantFrom('drain', 'undrain', 'zero', 'one'), at }) },
)

it('goes as the model does, never takes more than the cap nor the last, and decides each trial by one result', () => {
  const given = fc.record({
    failures: fc.integer({ min: 1, max: 3 }),
    ejectionMs: fc.constantFrom(50, 70, 100),
    maxEjectionMs: fc.constantFrom(50, 200, 350),
    maxEjectedPercent: fc.constantFrom(1, 34, 40, 50, 75, 100),
  })
  let trials = 0
  fc.assert(
    fc.property(given, fc.integer({ min: 1, max: 6 }), fc.array(step, { minLength: 40, maxLength: 150 }), run),
    { numRuns: 300, seed: 3 },
  )
  // It would show nothing if trials were rare.
  expect(trials).toBeGreaterThan(300)

  function run(options: Given, count: number, steps: readonly { verb: string; at: number; said?: string }[]): void {
    const clock = fakeClock()
    const backends = statesOf(...Array.from({ length: count }, () => 1))
    const model = new Model(backends, options)
    const told: string[] = []
    const watch = new HealthWatch({
      dial: dialling,
      clock,
      random: seededRandom(1),
      eligible: () => backends.filter((one) => couldServe(one) && one.passive !== 'ejected').length,
      refresh: () => undefined,
      emit: (_, fields) => {
        const { id, axis, from, to, cause } = (fields as { backend: { [key: string]: string } }).backend
        if (axis === 'passive') told.push(`${id} ${from} ${to} ${cause}`)
        return {} as never
      },
    })
    const config = { passive: passiveSchema.parse(options), record: 'summary' as const }
    watch.watch(backends, config)
    const leases: Lease[] = []
    const pick = (which: number): void => {
      const open = backends.filter((one) => couldServe(one) && one.passive !== 'ejected' && hasRoom(one))
      const backend = open[which % open.length]
      if (backend === undefined) return
      backend.inFlight++
      leases.push({ backend, startMs: model.nowMs })
    }
    for (const { verb, at: which, said } of steps) {
      const backend = backends[which % count]!
      if (verb === 'pick') pick(which)
      else if (verb === 'end') {
        if (leases.length === 0) pick(which)
        const lease = leases.splice(which % Math.max(1, leases.length), 1)[0]
        if (lease === undefined) continue
        model.end(lease.backend, lease.startMs, said as 'ok')
        const result = said === 'ok' ? 'ok' : said === 'failed' ? 'backend-reset' : 'client-gone'
        watch.observe(lease.backend, { result, startUs: lease.startMs * 1000, latencyUs: 1 })
        lease.backend.inFlight--
      } else if (verb === 'wait') {
        model.advance(which)
        clock.advance(which)
      } else {
        if (verb === 'drain' || verb === 'undrain') watch.setAdmin(backend, verb === 'drain' ? 'draining' : 'ready')
        else backend.config = { ...backend.config, weight: verb === 'zero' ? 0 : 1 }
        watch.watch(backends, config)
        model.settle()
      }
      expect(told).toEqual(model.told)
      expect(backends.map(({ passive }) => passive)).toEqual(model.all.map(({ passive }) => passive))
      const serving = model.serving
      const out = serving.filter(({ passive }) => passive !== 'ok').length
      expect(out).toBeLessThanOrEqual(model.mostOut)
      if (serving.length > 0) expect(out).toBeLessThan(serving.length)
      for (const one of model.all.filter(({ passive }) => passive === 'trial')) {
        const fresh = leases.filter((lease) => lease.backend === one.backend && lease.startMs >= one.freshMs)
        const most = 1 + Math.floor((model.nowMs - one.freshMs) / options.ejectionMs)
        expect(fresh.length).toBeLessThanOrEqual(most)
      }
    }
    trials += told.filter((line) => / trial-/.test(line)).length
    watch.close()
    expect(clock.timers).toBe(0)
  }
})
