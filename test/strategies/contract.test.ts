// Every registered strategy, and one of a user's own, under the one contract.
import { expect, it } from 'vitest'
import { createBalancer } from '../../src/balancer.ts'
import { seededRandom } from '../../src/random.ts'
import { strategies } from '../../src/strategies/index.ts'
import type { Strategy } from '../../src/strategy.ts'
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

it('a strategy of the user is used as it is', () => {
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
