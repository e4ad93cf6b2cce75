// Every registered strategy, and one of a user's own, under the one contract.
import { readdirSync, readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import { seededRandom } from '../../src/random.ts'
import { strategies } from '../../src/strategies/index.ts'
import type { Strategy, StrategyDefinition } from '../../src/strategy.ts'
import { keepsTheContract } from '../contracts/strategy.ts'
import { draftOf, made, statesOf } from '../support/pool.ts'

const last: Strategy = {
  name: 'last',
  pick: (candidates, draft) => candidates.findLast((candidate) => draft.admits(candidate)),
}

/** Strategies with several ways of going about it, or with options that are required. */
const variants: Readonly<Record<string, readonly object[]>> = {
  'consistent-hash': ['rendezvous', 'maglev', 'ring'].flatMap((algorithm) => [
    { key: 'path', algorithm },
    { key: 'client', algorithm, boundedLoad: 125 },
  ]),
}
const variantsOf = (name: string): readonly object[] => variants[name] ?? [{}]

for (const definition of strategies)
  for (const options of variantsOf(definition.name))
    keepsTheContract(definition.name, (random) => made(definition, random, options), true, options)
keepsTheContract('last', () => last, false)

it.each(['round-robin', 'random', 'least-connections', 'power-of-two', 'first'])(
  '%s says so when only one is admitted of several',
  (name) => {
    const states = statesOf(3, 1, 2)
    const random = seededRandom(1)
    const strategy = made(strategies.find((one) => one.name === name)!, random)
    strategy.rebuild?.(states)
    for (const only of states) {
      const draft = draftOf(random, [only])
      expect(strategy.pick(states, draft)).toBe(only)
      expect(draft.reason).toBe('only-eligible')
    }
  },
)

it('configuration names every registered strategy, as text where no option is required, and as an object', () => {
  for (const { name } of strategies) {
    const objects = variantsOf(name).map((options) => ({ name, ...options }))
    for (const strategy of name in variants ? objects : [name, ...objects]) {
      const balancer = createBalancer({
        backends: ['http://a'],
        strategy: strategy as 'round-robin',
        random: seededRandom(1),
      })
      expect(balancer.snapshot().strategy).toBe(name)
      expect(balancer.pick().decision).toMatchObject({ strategy: name, reason: 'only-eligible', backend: 'a:80' })
    }
  }
})

it('each file of a strategy is registered once, in one line: adding one costs a file and a line', async () => {
  const folder = new URL('../../src/strategies/', import.meta.url)
  const files = readdirSync(folder).filter((name) => name.endsWith('.ts') && name !== 'index.ts')
  expect(files.length).toBe(strategies.length)
  const [, list] = readFileSync(new URL('index.ts', folder), 'utf8').match(/const all = \[([^\]]*)\]/)!
  for (const file of files) {
    const exported = Object.entries((await import(new URL(file, folder).href)) as Record<string, unknown>)
    const own = exported.filter(([, value]) => strategies.includes(value as StrategyDefinition))
    expect([file, own.length]).toEqual([file, 1])
    const [name, definition] = own[0] as [string, StrategyDefinition]
    expect(file).toBe(`${definition.name}.ts`)
    expect(list!.split(',').filter((entry) => entry.trim() === name)).toHaveLength(1)
  }
  expect(new Set(strategies.map(({ name }) => name)).size).toBe(strategies.length)
})

it('a strategy of the user is used as it is, and told how each pick went', () => {
  const told: unknown[] = []
  const learning: Strategy = { ...last, observe: ({ config }, observation) => void told.push([config.id, observation]) }
  const { done } = createBalancer({ backends: ['http://a', 'http://b'], strategy: learning }).pick()
  done({ result: 'connect-refused', latencyUs: 7 })
  expect(told).toEqual([['b:80', expect.objectContaining({ failed: true, latencyUs: 7 })]])
})

it('a strategy of the user chooses', () => {
  const balancer = createBalancer({ backends: ['http://a', 'http://b', 'http://c'], strategy: last })
  expect(balancer.snapshot().strategy).toBe('last')
  expect(balancer.pick().decision).toMatchObject({ strategy: 'last', reason: 'custom', backend: 'c:80', candidates: 3 })
})

it.each(['rebuild', 'observe', 'memory', 'recall'])(
  'a strategy of the user whose `%s` is no function is refused',
  (member) => {
    expect(() => createBalancer({ backends: ['http://a'], strategy: { ...last, [member]: 5 } })).toThrow(
      /functions where it has/,
    )
  },
)
