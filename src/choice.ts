// The strategy that a configuration chooses, and whether two configurations behave alike.
import { isDeepStrictEqual } from 'node:util'
import type { PoolConfig } from './config.ts'
import { describe } from './describe.ts'
import { isSameDiscovery } from './discovery/discovery.ts'
import { isSameProbing } from './health/probe-options.ts'
import type { StrategyChoice } from './routing/router.ts'
import { withoutKey } from './secret.ts'
import { createStrategy, isSameStrategy } from './strategies/index.ts'
import type { StrategyTools } from './strategy.ts'

/** A function that tells the choice of a configuration: the same object while it is the same strategy. */
export function strategyChooser(tools: StrategyTools): (config: PoolConfig) => StrategyChoice {
  let last: { readonly strategy: PoolConfig['strategy']; readonly choice: StrategyChoice } | undefined
  return ({ strategy }) => {
    if (last !== undefined && isSameStrategy(last.strategy, strategy)) return last.choice
    const choice = {
      name: strategy.name,
      create: () => createStrategy(strategy, tools),
      options: 'pick' in strategy ? undefined : describe(strategy.options, withoutKey),
    }
    last = { strategy, choice }
    return choice
  }
}

/** Whether two configurations of equal record behave alike: a record has functions by their name only. */
export const behavesAlike = (a: PoolConfig, b: PoolConfig): boolean =>
  isSameStrategy(a.strategy, b.strategy) &&
  isSameProbing(a.health.active, b.health.active) &&
  isSameDiscovery(a.discovery, b.discovery) &&
  isDeepStrictEqual(a.affinity, b.affinity) &&
  isDeepStrictEqual(a.trustProxy, b.trustProxy) &&
  isDeepStrictEqual(a.headers, b.headers)
