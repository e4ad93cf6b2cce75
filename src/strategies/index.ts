// The strategies that configuration can name, and how it names them.
import { z } from 'zod'
import type { Random } from '../random.ts'
import type { Strategy, StrategyDefinition } from '../strategy.ts'
import { powerOfTwo } from './power-of-two.ts'
import { roundRobin } from './round-robin.ts'

export const strategies: readonly StrategyDefinition[] = [powerOfTwo, roundRobin]

const names = strategies.map((definition) => definition.name)
const name = z.enum(['power-of-two', 'round-robin'], {
  error: (issue) =>
    `expected one of ${names.join(', ')}, or a strategy object, got ${JSON.stringify(issue.input) ?? 'nothing'}`,
})
const named = z.strictObject({ name })

const own = z.custom<Strategy>(
  (value) =>
    typeof value === 'object' &&
    value !== null &&
    'pick' in value &&
    typeof value.pick === 'function' &&
    hasName(value),
  'expected a strategy: an object with a `name` and a function `pick`',
)
const hasName = (value: object): boolean => 'name' in value && typeof value.name === 'string' && value.name !== ''

/** A name, an object with that name, or a strategy of the user's own. Default `power-of-two`. */
export const strategySchema = z.unknown().transform((value, context): string | Strategy => {
  const isObject = typeof value === 'object' && value !== null
  const parsed = (isObject ? ('pick' in value ? own : named) : name).safeParse(value)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) context.addIssue({ ...issue })
    return z.NEVER
  }
  const { data } = parsed
  return typeof data === 'string' || 'pick' in data ? data : data.name
})

type StrategyName = z.infer<typeof name>
export type StrategyOptions = StrategyName | { readonly name: StrategyName } | Strategy

/** The strategy that a parsed option stands for. */
export function createStrategy(option: string | Strategy, random: Random): Strategy {
  if (typeof option !== 'string') return option
  return strategies.find((definition) => definition.name === option)!.create(random)
}
