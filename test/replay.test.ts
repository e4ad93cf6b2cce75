// Replay: a recorded pick, done again, chooses the same backend.
import { describe, expect, it } from 'vitest'
import { createBalancer } from '../src/balancer.ts'
import type { BalancerOptions } from '../src/config.ts'
import type { Decision } from '../src/decision.ts'
import { type Random, seededRandom } from '../src/random.ts'
import { replay } from '../src/replay.ts'
import { strategies } from '../src/strategies/index.ts'
import { decisionsOf, furtherDecisionsOf, strategyOptions } from './support/decisions.ts'
import { fakeClock } from './support/fake-clock.ts'
import { watched } from './support/watched.ts'

const detailOf = (record: unknown): string => {
  try {
    replay(record as Decision)
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`
  }
  return 'none'
}

for (const { name } of strategies) {
  for (const [label, options] of strategyOptions(name)) {
    it(`replays every pick of ${label}: 1,000 decisions of changing pools, and 1,000 of further attempts`, async () => {
      const decisions: Decision[] = []
      for await (const decision of decisionsOf(options, 1000, seededRandom(21))) decisions.push(decision)
      decisions.push(...furtherDecisionsOf(options, 1000, seededRandom(22)))
      const picked = decisions.map(({ backend }) => backend)
      expect(decisions.map((decision) => replay(decision))).toEqual(picked)
      // As it comes back from a line.
      const lines = decisions.map((decision) => JSON.stringify({ lb: { decision } }))
      expect(lines.map((line) => replay(JSON.parse(line)))).toEqual(picked)
    })
  }
}

describe('what cannot be replayed', () => {
  const pick = (options: Partial<BalancerOptions>): Decision => {
    const { balancer } = watched({
      backends: ['http://a', 'http://b'],
      clock: fakeClock(),
      ...options,
    } as BalancerOptions)
    return balancer.pick().decision
  }

  it('is what was not sampled', () => {
    expect(detailOf(pick({ traceRate: 0 }))).toMatch(/^not-replayable .*not sampled/)
  })

  it("is a user's own rule", () => {
    const strategy = { name: 'mine', pick: (candidates: readonly never[]) => candidates[0] }
    expect(detailOf(pick({ traceRate: 1, strategy }))).toMatch(/^not-replayable .*"mine" chose by a rule of its own/)
  })

  it('is a pool that was too large to keep', () => {
    const backends = Array.from({ length: 513 }, (_, i) => `http://b${i}`)
    expect(detailOf(pick({ traceRate: 1, backends }))).toMatch(/^not-replayable .*too large/)
    expect(replay(pick({ traceRate: 1, backends: backends.slice(1) }))).toMatch(/^b\d+:80$/)
  })

  it.each([undefined, null, 7, {}, { lb: {} }, { lb: { decision: null } }])('is %j', (record) => {
    expect(detailOf(record)).toMatch(/^not-replayable .*no decision/)
  })

  it('is a trace that is none, or was cut from a line that was too long', () => {
    const whole = {
      draws: [1, 2],
      compared: [],
      options: {},
      pool: [{ backend: 'a', load: 0, open: true, weight: 1000 }],
    }
    const traces = [null, 5, {}, { ...whole, pool: [] }, { ...whole, pool: [null] }, { ...whole, draws: undefined }]
    for (const trace of [...traces, { ...whole, options: { other: 1 } }])
      expect(detailOf({ strategy: 'random', reason: 'drawn-by-weight', trace })).toMatch(/^not-replayable /)
  })

  it('is one with draws missing', () => {
    const decision = pick({ traceRate: 1, strategy: 'power-of-two' })
    expect(detailOf({ ...decision, trace: { ...decision.trace!, draws: [] } })).toMatch(/^not-replayable .*fewer draws/)
  })
})

it('a pick that found nobody is replayed to nobody', async () => {
  const one = { id: 'a', url: 'http://a', group: 'x', maxInFlight: 1 }
  const affinity = { key: 'path' } as const
  const { balancer, ops } = watched({ backends: [one], traceRate: 1, affinity })
  expect(balancer.pick({ path: '/a' }).decision).toMatchObject({ backend: 'a', sticky: 'sticky-new' })
  // It is full: of the one that a client is bound to, and of all.
  const kept = balancer.pick({ path: '/a' }).decision
  expect(kept).toMatchObject({ reason: 'none-eligible', sticky: 'sticky-kept' })
  const full = balancer.pick({ path: '/b' }).decision
  expect(full).toMatchObject({ reason: 'none-eligible', sticky: 'sticky-new' })
  // Nobody is in the group that gets everything.
  await ops.update({ split: { y: 1 } })
  const apart = balancer.pick({ path: '/b' }).decision
  await ops.remove('a')
  const none = balancer.pick({ path: '/b' }).decision
  expect([kept, full, apart, none].map((decision) => replay(decision))).toEqual(Array(4).fill(undefined))
})

it('a pick of the only one is replayed to it', () => {
  const { balancer } = watched({ backends: ['http://a'], traceRate: 1, strategy: 'round-robin' })
  const { backend, decision } = balancer.pick()
  expect(replay(decision)).toBe(backend!.id)
})

it.each([
  [0.1, 10_000, 0.012],
  [1, 100, 0],
  [0, 100, 0],
] as const)('about so many picks are traced at a rate of %f: %i picks', (traceRate, picks, within) => {
  const balancer = createBalancer({ backends: ['http://a', 'http://b'], traceRate, random: seededRandom(2) })
  let traced = 0
  for (let i = 0; i < picks; i++) {
    const { decision, done } = balancer.pick()
    done({ result: 'ok' })
    if (decision.trace !== undefined) traced++
  }
  expect(Math.abs(traced / picks - traceRate)).toBeLessThanOrEqual(within)
})

it('the sample does not change what is picked', () => {
  const picksAt = (traceRate: number) => {
    let draws = 0
    const source = seededRandom(5)
    const random: Random = {
      uint32: () => {
        draws++
        return source.uint32()
      },
    }
    const { balancer } = watched({ backends: ['http://a', 'http://b', 'http://c'], traceRate, random })
    const ids = Array.from({ length: 50 }, () => balancer.pick().backend!.id)
    return { ids, draws }
  }
  expect(picksAt(1)).toEqual(picksAt(0))
})
