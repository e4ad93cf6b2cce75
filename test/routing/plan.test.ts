// The plan: groups, levels and zones, and the share of each.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/backend.ts'
import { newBackendState } from '../../src/backend.ts'
import type { ExclusionReason } from '../../src/decision.ts'
import { seededRandom } from '../../src/random.ts'
import { drawShare, type Part, planOf, type Standing } from '../../src/routing/plan.ts'
import { backendOf, countOf } from '../support/pool.ts'

const locality = { overprovisionPercent: 140 }

function standing(id: string, facts: Partial<Backend> = {}, out?: ExclusionReason): Standing {
  return { backend: newBackendState({ ...backendOf(id), ...facts }), out }
}

const shares = (parts: readonly Part[]): unknown[] =>
  parts.flatMap(({ tiers }) => tiers.map(({ share, candidates }) => [share, candidates.map(({ config }) => config.id)]))

const level = (priority: number, states: readonly boolean[], facts: Partial<Backend> = {}): Standing[] =>
  states.map((ok, i) => standing(`p${priority}-${i}`, { ...facts, priority }, ok ? undefined : 'unhealthy'))

describe('levels', () => {
  it('without any, all are one list', () => {
    const [part] = planOf([standing('a'), standing('b', {}, 'ejected')], [], { locality })
    expect(part).toMatchObject({ group: undefined, tiers: [{ priority: undefined, zone: undefined, share: 700 }] })
    expect(part!.tiers[0]!.excluded).toEqual([{ backend: 'b', reason: 'ejected' }])
  })

  it('the first takes everything while 1/1.4 of it is eligible', () => {
    const standings = [...level(0, [true, true, true, false]), ...level(1, [true, true])]
    expect(shares(planOf(standings, [], { locality }))).toEqual([
      [1000, ['p0-0', 'p0-1', 'p0-2']],
      [0, ['p1-0', 'p1-1']],
    ])
  })

  it('below that what it lacks goes to the next', () => {
    const standings = [...level(0, [true, true, false, false]), ...level(1, [true, true])]
    expect(shares(planOf(standings, [], { locality }))).toEqual([
      [700, ['p0-0', 'p0-1']],
      [300, ['p1-0', 'p1-1']],
    ])
  })

  it('a level with nobody is left out, and says why each is', () => {
    const [part] = planOf([...level(0, [false]), ...level(3, [true])], [], { locality })
    expect(part!.tiers).toHaveLength(1)
    expect(part!.tiers[0]).toMatchObject({
      priority: 3,
      share: 1000,
      excluded: [{ backend: 'p0-0', reason: 'unhealthy' }],
    })
  })

  it('where all lack capacity each keeps its part in proportion', () => {
    const standings = [...level(0, [true, false, false, false]), ...level(1, [true, false, false, false])]
    expect(shares(planOf(standings, [], { locality }))).toEqual([
      [350, ['p0-0']],
      [350, ['p1-0']],
    ])
  })

  it('says of those in other levels that they are', () => {
    const [part] = planOf([...level(0, [true]), ...level(1, [true])], [], { locality })
    expect(part!.tiers.map(({ excluded }) => excluded)).toEqual([
      [{ backend: 'p1-0', reason: 'other-priority' }],
      [{ backend: 'p0-0', reason: 'other-priority' }],
    ])
  })
})

describe('zones', () => {
  const rules = { locality: { zone: 'here', overprovisionPercent: 140 } }
  const zoned = (zone: string, states: readonly boolean[]): Standing[] =>
    states.map((ok, i) => standing(`${zone}-${i}`, { zone }, ok ? undefined : 'ejected'))

  it('the preferred one takes everything while it has capacity', () => {
    const [part] = planOf([...zoned('here', [true, true]), ...zoned('there', [true])], [], rules)
    expect(part!.tiers).toMatchObject([
      { zone: 'local', share: 1000, excluded: [{ backend: 'there-0', reason: 'other-zone' }] },
      { zone: 'spilled', share: 0 },
    ])
  })

  it('spills what it lacks', () => {
    const [part] = planOf([...zoned('here', [true, false, false, false]), ...zoned('there', [true])], [], rules)
    // Of five two are eligible: the level as a whole has capacity for 560 of 1,000, of which its local part keeps 350 ‰.
    expect(part!.tiers.map(({ zone, share }) => [zone, share])).toEqual([
      ['local', 196],
      ['spilled', 364],
    ])
  })

  it('keeps everything when there is nobody elsewhere', () => {
    const [part] = planOf([...zoned('here', [true, false, false, false]), ...zoned('there', [false])], [], rules)
    expect(part!.tiers.map(({ zone, share }) => [zone, share])).toEqual([['local', 280]])
  })

  it('sends everything away when nobody is left', () => {
    const [part] = planOf([...zoned('here', [false]), ...zoned('there', [true])], [], rules)
    expect(part!.tiers.map(({ zone, share }) => [zone, share])).toEqual([['spilled', 700]])
  })
})

describe('groups', () => {
  const grouped = [
    standing('c', { group: 'canary' }),
    standing('s', { group: 'stable' }),
    standing('x'),
    standing('o', { group: 'other' }),
  ]

  it('each has its share, those without a name are the default, and others get nothing', () => {
    const parts = planOf(grouped, [], { split: { canary: 5, stable: 90, default: 5 }, locality })
    expect(parts.map(({ group, share }) => [group, share])).toEqual([
      ['canary', 5],
      ['stable', 90],
      ['default', 5],
    ])
    expect(parts[0]!.tiers[0]!.excluded).toEqual(['s', 'x', 'o'].map((backend) => ({ backend, reason: 'other-group' })))
  })

  it('one with nobody eligible leaves its share to the others', () => {
    const parts = planOf([standing('c', { group: 'canary' }, 'unhealthy'), grouped[1]!], [], {
      split: { canary: 5, stable: 95 },
      locality,
    })
    expect(parts.map(({ group }) => group)).toEqual(['stable'])
  })
})

it('shares are never negative, reach 1,000 at most, and each eligible backend is in one list of its group', () => {
  const one = fc.record({
    priority: fc.nat(3),
    weight: fc.integer({ min: 1, max: 9 }),
    zone: fc.constantFrom('here', 'there', undefined),
    out: fc.constantFrom(undefined, undefined, 'unhealthy' as const),
  })
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 12 }), fc.boolean(), (given, prefers) => {
      const standings = given.map(({ out, ...facts }, i) => standing(`b${i}`, facts, out))
      const rules = { locality: { ...locality, ...(prefers ? { zone: 'here' } : {}) } }
      const parts = planOf(standings, [], rules)
      const tiers = parts.flatMap((part) => part.tiers)
      const listed = tiers.flatMap(({ candidates }) => candidates).map(({ config }) => config.id)
      const eligible = standings.filter(({ out }) => out === undefined).map(({ backend }) => backend.config.id)
      expect([...listed].sort()).toEqual([...eligible].sort())
      for (const { share, excluded, candidates } of tiers) {
        expect(share).toBeGreaterThanOrEqual(0)
        expect(excluded.length + candidates.length).toBe(standings.length)
      }
      const total = tiers.reduce((sum, { share }) => sum + share, 0)
      expect(total).toBeLessThanOrEqual(1000)
      if (eligible.length > 0) expect(total).toBeGreaterThan(0)
    }),
  )
})

// 40,000 draws: the standard error of a share of 5 % is 0.11 %, so 0.5 % is more than four of them.
it('draws by share: 40,000 draws, each within 0.5 % of all', () => {
  const random = seededRandom(4)
  const list = [
    { name: 'canary', share: 5 },
    { name: 'none', share: 0 },
    { name: 'stable', share: 95 },
  ]
  const counts = countOf(Array.from({ length: 40_000 }, () => drawShare(list, random)!.name))
  expect(Math.abs(counts.get('canary')! / 40_000 - 0.05)).toBeLessThan(0.005)
  expect(counts.get('none')).toBeUndefined()
})
