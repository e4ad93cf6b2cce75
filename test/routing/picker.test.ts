// The picker: what a decision says, and strategies that misbehave.
import { describe, expect, it } from 'vitest'
import type { BackendState } from '../../src/backend.ts'
import { seededRandom } from '../../src/random.ts'
import { Picker, type PickRules } from '../../src/routing/picker.ts'
import { roundRobin } from '../../src/strategies/round-robin.ts'
import type { Strategy } from '../../src/strategy.ts'
import { backendOf, made, poolWith } from '../support/pool.ts'

const rulesOf = (strategy: Strategy): PickRules => ({
  name: strategy.name,
  create: () => strategy,
  options: undefined,
  affinity: undefined,
  groups: [''],
  traceRate: 0,
})

function pickerOf(strategy: Strategy = made(roundRobin, seededRandom(1)), names: readonly string[] = ['a', 'b', 'c']) {
  const pool = poolWith(names.map((name) => backendOf(name)))
  const faults: [string, string][] = []
  const picker = new Picker(rulesOf(strategy), {
    pool,
    random: seededRandom(2),
    onFault: (name, fault) => void faults.push([name, fault]),
  })
  return { pool, picker, faults }
}

const own = (pick: Strategy['pick'], rebuild?: Strategy['rebuild']): Strategy => ({
  name: 'own',
  pick,
  ...(rebuild === undefined ? {} : { rebuild }),
})

it('says strategy, backend, reason, candidates, exclusions and the version of the pool', () => {
  const { pool, picker } = pickerOf()
  pool.state('c')!.admin = 'draining'
  pool.refresh()
  const { backend, decision } = picker.pick({}, [])
  expect(decision).toEqual({
    strategy: 'round-robin',
    backend: backend!.config.id,
    reason: 'next-in-rotation',
    candidates: 2,
    excluded: [{ backend: 'c', reason: 'draining' }],
    snapshot: pool.snapshot.version,
  })
})

it('excludes what was tried, beside what was excluded before, and counts it out', () => {
  const { pool, picker } = pickerOf(undefined, ['a', 'b', 'c', 'd'])
  pool.state('d')!.passive = 'ejected'
  pool.refresh()
  const tried = [pool.state('a')!, pool.state('d')!]
  const { backend, decision } = picker.pick({}, tried)
  expect(['b', 'c']).toContain(backend!.config.id)
  expect(decision.candidates).toBe(2)
  expect(decision.excluded).toEqual([
    { backend: 'd', reason: 'ejected' },
    { backend: 'a', reason: 'tried' },
  ])
})

it('has nobody when all were tried, or none is eligible', () => {
  const { pool, picker, faults } = pickerOf()
  const { backend, decision } = picker.pick({}, pool.states)
  expect(backend).toBeUndefined()
  expect(decision).toMatchObject({ reason: 'none-eligible', candidates: 0 })
  expect(decision.excluded.map(({ reason }) => reason)).toEqual(['tried', 'tried', 'tried'])
  pool.sync([])
  expect(picker.pick({}, []).decision).toMatchObject({ reason: 'none-eligible', candidates: 0, excluded: [] })
  expect(faults).toEqual([])
})

it('rebuilds a strategy once for each state of the pool, and when it is switched', () => {
  const built: string[][] = []
  const strategy = own(
    (candidates) => candidates[0],
    (candidates) => built.push(candidates.map(({ config }) => config.id)),
  )
  const { pool, picker } = pickerOf(strategy, ['a', 'b'])
  picker.pick({}, [])
  picker.pick({}, [])
  pool.sync([backendOf('b')])
  picker.pick({}, [])
  picker.use(rulesOf(own((candidates) => candidates[0])))
  expect(picker.pick({}, []).decision.strategy).toBe('own')
  picker.use(rulesOf(strategy))
  picker.pick({}, [])
  expect(built).toEqual([['a', 'b'], ['b'], ['b']])
})

describe('what a strategy learned', () => {
  /** Remembers whom it was told of, with all that others learned before. */
  const learner = () => {
    const all: { seen: string[] }[] = []
    const create = (): Strategy & { seen: string[] } => {
      const strategy = {
        name: 'learner',
        seen: [] as string[],
        inherit(from: Strategy) {
          strategy.seen.push(...(from as unknown as { seen: string[] }).seen)
        },
        pick: (candidates: readonly BackendState[]) => candidates[0],
        observe: ({ config }: BackendState) => void strategy.seen.push(config.id),
      }
      all.push(strategy)
      return strategy
    }
    return { all, rules: { ...rulesOf(create()), create } }
  }
  const end = { failed: false, latencyUs: 1 }

  it('is handed on to that of another list', () => {
    const { pool, picker } = pickerOf(undefined, ['a', 'b'])
    const { all, rules } = learner()
    picker.use(rules)
    picker.pick({}, [])
    picker.observe(pool.state('a')!, end)
    pool.sync([backendOf('a'), { ...backendOf('b'), priority: 1 }])
    picker.pick({}, [])
    picker.observe(pool.state('b')!, end)
    pool.sync([{ ...backendOf('b'), priority: 1 }])
    picker.pick({}, [])
    expect(all.slice(1).map(({ seen }) => seen)).toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ])
  })

  it('is handed on to those by other options, with what came in before the next pick', () => {
    const { pool, picker } = pickerOf(undefined, ['a', 'b'])
    const { rules } = learner()
    picker.use(rules)
    picker.pick({}, [])
    picker.observe(pool.state('a')!, end)
    const { all, rules: next } = learner()
    picker.use({ ...next, create: () => next.create() })
    picker.use(next)
    picker.observe(pool.state('b')!, end)
    picker.pick({}, [])
    expect(all[1]!.seen).toEqual(['a', 'b'])
  })
})

it('hands the strategy what it may know, and nothing that it could change', () => {
  const seen: unknown[] = []
  const { picker } = pickerOf(
    own((candidates, draft) => {
      seen.push(draft.request, Object.isFrozen(candidates), draft.restricted, draft.reason)
      return candidates[0]
    }),
  )
  const request = { path: '/x', headers: { 'x-user': 'u' } }
  picker.pick(request, [])
  expect(seen).toEqual([request, true, false, 'custom'])
})

describe('a strategy that misbehaves does not cost the request', () => {
  const stranger = { config: backendOf('z') } as unknown as BackendState
  const cases: [string, Strategy['pick'], string][] = [
    [
      'throws',
      () => {
        throw new Error('no idea')
      },
      'no idea',
    ],
    [
      'throws no error',
      () => {
        throw null
      },
      'null',
    ],
    ['returns a stranger', () => stranger, 'it picked a backend that is not a candidate'],
    ['returns null', () => null as never, 'it picked a backend that is not a candidate'],
    ['returns a promise', (async () => undefined) as never, 'it picked a backend that is not a candidate'],
    ['returns an id', () => 'a' as never, 'it picked a backend that is not a candidate'],
    ['returns nobody', () => undefined, 'it picked nobody'],
    ['returns what was tried', (candidates) => candidates[0], 'it picked a backend that is not a candidate'],
    ['changes the list', (candidates) => (candidates as BackendState[]).pop(), 'Cannot delete property'],
  ]
  it.each(cases)('that %s', (_, pick, fault) => {
    const { pool, picker, faults } = pickerOf(own(pick))
    const tried = [pool.state('a')!]
    for (let i = 0; i < 3; i++) {
      expect(picker.pick({}, tried).decision).toMatchObject({ backend: 'b', reason: 'custom', candidates: 2 })
    }
    expect(faults[0]![0]).toBe('own')
    expect(faults[0]![1]).toContain(fault)
  })

  it('that fails in rebuild', () => {
    const { picker, faults } = pickerOf(
      own(
        (candidates) => candidates[1],
        () => {
          throw new Error('no table')
        },
      ),
    )
    expect(picker.pick({}, []).decision).toMatchObject({ backend: 'a', reason: 'custom' })
    expect(faults).toEqual([['own', 'no table']])
  })

  it.each(['because', 'none-eligible', 'sticky'])('that gives a reason that it cannot have: %s', (reason) => {
    const { picker } = pickerOf(
      own((candidates, draft) => {
        draft.reason = reason as never
        return candidates[1]
      }),
    )
    expect(picker.pick({}, []).decision).toMatchObject({ backend: 'b', reason: 'custom' })
  })
})

it('what should be synchronous and rejects is told, and does not end the process', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const late = async (): Promise<never> => Promise.reject(new Error('late'))
  const strategy = { name: 'own', pick: late, observe: late, rebuild: late, memory: late } as unknown as Strategy
  const { pool, picker, faults } = pickerOf(strategy)
  picker.use({ ...rulesOf(strategy), traceRate: 1 })
  expect(picker.pick({}, []).backend).toBe(pool.state('a'))
  picker.observe(pool.state('a')!, { failed: false, latencyUs: 1 })
  // Rejections are told of once all microtasks are done.
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
  expect(faults.filter(([, fault]) => fault === 'late')).toHaveLength(4)
})

it('a trace holds integers, whatever a strategy gives', () => {
  const strategy: Strategy = {
    name: 'own',
    memory: () => [0.4, Number.NaN],
    pick([a], draft) {
      for (const score of [1.6, Number.POSITIVE_INFINITY, Number.NaN]) draft.trace?.compared(a!, score)
      draft.trace?.hashed(-1.5)
      return a
    },
  }
  const { picker } = pickerOf(strategy, ['a', 'b'])
  picker.use({ ...rulesOf(strategy), traceRate: 1 })
  const { trace } = picker.pick({}, []).decision
  expect(trace!.compared.map(({ score }) => score)).toEqual([2, Number.MAX_SAFE_INTEGER])
  expect(trace!.pool!.map(({ memory }) => memory)).toEqual([0, undefined])
  expect(trace!.hash).toBe(0xffff_ffff)
})

it('keeps no strategy of a group that is gone', () => {
  let made = 0
  const rules = {
    ...rulesOf(own(([a]) => a)),
    create: () => {
      made++
      return own(([a]) => a)
    },
  }
  const group = (name: string) => Object.freeze({ ...backendOf('a'), group: name })
  const locality = { overprovisionPercent: 140 }
  const pool = poolWith([], { locality })
  const picker = new Picker({ ...rules }, { pool, random: seededRandom(2), onFault: () => undefined })
  const release = (name: string): void => {
    pool.configure({ locality, split: { [name]: 1 } })
    picker.use({ ...rules, groups: [name] })
    pool.sync([group(name)])
    expect(picker.pick({}, []).decision.group).toBe(name)
  }
  for (const name of ['v1', 'v2', 'v2', 'v1']) release(name)
  expect(made).toBe(3)
})
