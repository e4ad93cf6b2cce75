// The strategies that configuration can name, and how it names them.
import { isDeepStrictEqual } from 'node:util'
import { z } from 'zod'
import { quoted } from '../shown.ts'
import type { Strategy, StrategyDefinition, StrategyTools } from '../strategy.ts'
import { consistentHash } from './consistent-hash.ts'
import { first } from './first.ts'
import { leastConnections } from './least-connections.ts'
import { peakEwma } from './peak-ewma.ts'
import { powerOfTwo } from './power-of-two.ts'
import { random } from './random.ts'
import { roundRobin } from './round-robin.ts'

const all = [
  powerOfTwo,
  roundRobin,
  random,
  leastConnections,
  peakEwma,
  first,
  consistentHash,
] as const satisfies readonly StrategyDefinition[]

export const strategies: readonly StrategyDefinition[] = all

/** A strategy of the library with its options, as configuration has it once it is parsed. */
export interface NamedStrategy {
  readonly name: string
  readonly options: unknown
}

const definitionOf = (name: unknown): StrategyDefinition | undefined =>
  strategies.find((definition) => definition.name === name)

export const isNamedStrategy = (name: string): boolean => definitionOf(name) !== undefined

const none = z.strictObject({})

const furtherMembers = ['rebuild', 'observe', 'memory', 'recall'] as const

const isOwn = (value: object): value is Strategy =>
  'pick' in value &&
  typeof value.pick === 'function' &&
  'name' in value &&
  typeof value.name === 'string' &&
  value.name !== '' &&
  furtherMembers.every((name) => ['undefined', 'function'].includes(typeof (value as Partial<Strategy>)[name]))

/** A name, an object with that name and its options, or a strategy of the user's own. */
export const strategySchema = z.unknown().transform((value, context): NamedStrategy | Strategy => {
  const isObject = typeof value === 'object' && value !== null
  if (isObject && 'pick' in value) {
    if (isOwn(value)) return value
    context.addIssue(
      'expected a strategy: an object with a `name`, a function `pick`, and functions where it has `rebuild`, `observe`, `memory` or `recall`',
    )
    return z.NEVER
  }
  const { name, ...options } = isObject ? (value as { name?: unknown }) : { name: value }
  const definition = definitionOf(name)
  if (definition === undefined) {
    const known = strategies.map((one) => one.name).join(', ')
    context.addIssue({
      code: 'custom',
      path: isObject ? ['name'] : [],
      message: `expected one of ${known}, or a strategy object`,
      params: { ...(typeof name === 'string' ? { got: quoted(name) } : {}), unread: isObject },
    })
    return z.NEVER
  }
  const parsed = (definition.options ?? none).safeParse(options)
  if (parsed.success) return Object.freeze({ name: definition.name, options: parsed.data })
  for (const issue of parsed.error.issues) context.addIssue({ ...issue })
  return z.NEVER
})

type InputOf<D> = D extends { options: z.ZodType } ? z.input<D['options']> : unknown
type OptionsOf<D> = D extends { name: infer N } ? { readonly name: N } & InputOf<D> : never
/** A name is enough where no option is required. */
type BareName<D> = D extends { name: infer N } ? (Record<never, never> extends InputOf<D> ? N : never) : never
type Known = (typeof all)[number]

/** What `strategy` takes. */
export type StrategyOptions = BareName<Known> | OptionsOf<Known> | Strategy

/** The strategy that a parsed option stands for. */
export function createStrategy(option: NamedStrategy | Strategy, tools: StrategyTools): Strategy {
  return 'pick' in option ? option : definitionOf(option.name)!.create(tools, option.options)
}

/** Whether two parsed options stand for the same: functions, and strategies of the user's own, are compared as what they are. */
export const isSameStrategy = (a: NamedStrategy | Strategy, b: NamedStrategy | Strategy): boolean =>
  a === b || (!('pick' in a) && !('pick' in b) && isDeepStrictEqual(a, b))
