// A further attempt reaches an untried eligible backend whenever there is one, wherever that is.
import { expect, it } from 'vitest'
import { type BackendState, backendsSchema } from '../../src/backend.ts'
import { below, seededRandom } from '../../src/random.ts'
import { affinitySchema, createAffinity } from '../../src/routing/affinity.ts'
import { Picker } from '../../src/routing/picker.ts'
import { createStrategy, strategies, strategySchema } from '../../src/strategies/index.ts'
import { strategyOptions } from '../support/decisions.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { poolWith } from '../support/pool.ts'

const variants = strategies.flatMap(({ name }) => strategyOptions(name))
const pools = 60

it.each(variants)(
  `%s: requests on ${pools} pools of levels, zones, groups, limits and affinity try all that there are`,
  (_, options) => {
    const random = seededRandom(61)
    const clock = fakeClock()
    const strategy = strategySchema.parse(options)
    const facts = { moved: 0, crossed: 0, full: 0, bound: 0 }
    for (let round = 0; round < pools; round++) {
      const backends = backendsSchema.parse(
        Array.from({ length: 1 + below(random, 7) }, (_, i) => ({
          id: `b${i}`,
          url: `http://b${i}`,
          weight: below(random, 6),
          priority: below(random, 2),
          ...(below(random, 2) === 0 ? { zone: 'here' } : {}),
          ...(below(random, 2) === 0 ? { group: 'canary' } : {}),
          maxInFlight: 1 + below(random, 2),
        })),
      )
      const split = below(random, 2) === 0 ? undefined : { default: 1, canary: below(random, 2) }
      const locality = { overprovisionPercent: 140, zone: below(random, 2) === 0 ? undefined : 'here' }
      const pool = poolWith(backends, { split, locality }, clock)
      const affinity =
        below(random, 2) === 0
          ? undefined
          : createAffinity(affinitySchema.parse({ key: { header: 'x-key' } }), clock, () => expect.fail())
      const picker = new Picker(
        {
          name: 'any',
          create: () => createStrategy(strategy, { clock, random }),
          options: undefined,
          affinity,
          groups: split === undefined ? [''] : Object.keys(split),
          traceRate: 0,
        },
        { pool, random, onFault: (_, fault) => expect(fault).toBe('none') },
      )
      for (let request = 0; request < 20; request++) {
        for (const state of pool.states) {
          state.admin = below(random, 8) === 0 ? 'draining' : 'ready'
          state.active = below(random, 8) === 0 ? 'unhealthy' : 'healthy'
          state.passive = (['ok', 'ok', 'ok', 'ejected', 'trial'] as const)[below(random, 5)]!
          state.inFlight = below(random, 3)
        }
        pool.refresh()
        affinity?.know(pool.states)
        const given = { headers: { 'x-key': String(below(random, 4)) } }
        const tried: BackendState[] = []
        for (;;) {
          // Another request of the same client may have been bound meanwhile, to anybody.
          if (tried.length > 0 && below(random, 3) === 0)
            affinity?.bind(given, pool.states[below(random, pool.states.length)]!)
          const bound = affinity?.find(given)
          const left = pool.states.filter((state) => isEligible(state) && !tried.includes(state))
          const { backend, decision } = picker.pick(given, tried, { retry: tried.length || undefined })
          if (backend === undefined) {
            // The first attempt of one that is bound waits for its own.
            if (tried.length === 0 && decision.sticky === 'sticky-kept') break
            expect([decision, left.map(({ config }) => config.id)]).toEqual([decision, []])
            if (decision.excluded.some(({ reason }) => reason === 'at-capacity')) facts.full++
            break
          }
          expect(tried).not.toContain(backend)
          if (backend !== bound) expect(left).toContain(backend)
          else facts.bound++
          const last = tried.at(-1)
          if (last !== undefined) facts.moved++
          if (last !== undefined && last.config.priority < backend.config.priority) facts.crossed++
          tried.push(backend)
        }
      }
      pool.close()
    }
    for (const count of Object.values(facts)) expect(count).toBeGreaterThan(50)
  },
)

const isEligible = ({ admin, active, passive, config, capacity, noShare }: BackendState): boolean =>
  !noShare &&
  admin === 'ready' &&
  config.weight > 0 &&
  active !== 'unhealthy' &&
  passive !== 'ejected' &&
  capacity === 'free'
