// Rules for headers: what a user adds to, takes from, and changes in what passes.
import { z } from 'zod'
import { reasonOf } from '../errors.ts'
import type { PickRequest } from '../request.ts'
import { hostText } from './forwarded.ts'
import { isFraming } from './headers.ts'
import { ruleSchema } from './rule-schema.ts'

/** What a function of a rule goes by. */
export interface RuleFacts extends PickRequest {
  /** Our id of the request. */
  readonly requestId: string
  /** Of the response, in rules for responses. */
  readonly status?: number
}

/** A value that a function of the host tells; undefined: the rule is not applied. It must be quick. */
export type ValueFunction = (facts: RuleFacts) => string | undefined

// biome-ignore lint/suspicious/noControlCharactersInRegex: what a value cannot hold (RFC 9110 section 5.5)
const notOfValue = /[\x00-\x08\x0a-\x1f\x7f\u0100-\uffff]/
/** The longest value that a rule can make, in characters: a head of 16 KB is the most that servers take. */
const mostValue = 16_384

const valueText = z
  .string()
  .max(mostValue)
  .refine((text) => !notOfValue.test(text), 'expected a value without control characters, in Latin-1')
const value = z.union([valueText, z.custom<ValueFunction>((given) => typeof given === 'function')], {
  error: 'expected text, or a function that returns it',
})

/** What we say by ourselves, and what sets it instead. */
const oursOfRequest: Readonly<Record<string, string>> = {
  via: 'names this balancer',
  forwarded: 'is what `forwarded` and `trustProxy` say',
  'x-forwarded-for': 'is what `forwarded` and `trustProxy` say',
  'x-forwarded-proto': 'is what `forwarded` and `trustProxy` say',
  'x-forwarded-host': 'is what `forwarded` and `trustProxy` say',
  'x-forwarded-port': 'is what `forwarded` and `trustProxy` say',
  'x-request-id': 'is the id of the request',
  'x-mirrored': 'marks copies',
  traceparent: 'continues the active trace, and can be removed only',
  tracestate: 'continues the active trace, and can be removed only',
}
/** What a client says of these is taken off by a rule; where a trace is active ours are added after. */
const removable = ['traceparent', 'tracestate']
const oursOfResponse: Readonly<Record<string, string>> = { 'x-request-id': 'is the id of the request' }

type Use = 'set' | 'remove' | 'change'

/** What is wrong with a rule for this name. Where headers become variables an underscore is a dash. */
function faultOf(name: string, use: Use, ours: Readonly<Record<string, string>>): string | undefined {
  const lower = name.toLowerCase().replaceAll('_', '-')
  if (use === 'remove' && removable.includes(lower)) return undefined
  if (lower === 'host' && use !== 'set') return 'expected a name other than host, which can only be set'
  if (isFraming(lower)) return `expected a name other than ${lower}, which belongs to the connection`
  return Object.hasOwn(ours, lower) ? `expected a name other than ${lower}, which ${ours[lower]}` : undefined
}

function rulesFor(ours: Readonly<Record<string, string>>) {
  const token = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'expected a name of token characters')
  const nameTo = (use: Use) =>
    token.superRefine((name, context) => {
      const message = faultOf(name, use, ours)
      if (message !== undefined) context.addIssue({ code: 'custom', message })
    })
  const rule = ruleSchema(
    {
      set: z
        .strictObject({
          /** Takes the place of all fields of this name. */
          set: nameTo('set'),
          to: value,
        })
        .refine(({ set, to }) => set.toLowerCase() !== 'host' || typeof to !== 'string' || hostText.test(to), {
          message: 'expected a host name, with or without a port',
          path: ['to'],
        }),
      add: z.strictObject({
        /** Is added beside those of this name. */
        add: nameTo('change'),
        to: value,
      }),
      remove: z.strictObject({
        /** All fields of this name are taken off. */
        remove: nameTo('remove'),
      }),
      rename: z.strictObject({
        /** The fields of this name get another one; those that had it before are taken off. */
        rename: nameTo('change'),
        to: nameTo('change'),
      }),
      replace: z.strictObject({
        /** In the values of this name text is replaced: every occurrence, or what a regular expression says. */
        replace: nameTo('change'),
        match: z.union([z.string().min(1), z.instanceof(RegExp)], { error: 'expected text or a regular expression' }),
        with: valueText,
      }),
    },
    'expected an object with `set`, `add`, `remove`, `rename` or `replace`',
  )
  return z.array(rule).max(64).default([])
}

export const headersSchema = z.strictObject({
  /** Rules for requests to backends, in the order in which they are applied. */
  request: rulesFor(oursOfRequest),
  /** Rules for the responses of backends. */
  response: rulesFor(oursOfResponse),
})
export type HeadersConfig = z.output<typeof headersSchema>
export type HeaderRule = HeadersConfig['request'][number]

/** A rule failed: what was to go on does not. */
export class RuleFault extends Error {}

/**
 * The headers, names and values in turn, after the rules. `facts` is asked for where a function needs them. Throws
 * {@link RuleFault}, and nothing else, if a function throws or makes no value.
 */
export function ruled(headers: string[], rules: readonly HeaderRule[], facts: () => RuleFacts): string[] {
  let out = headers
  rules.forEach((rule, i) => {
    try {
      out = applied(out, rule, facts)
    } catch (error) {
      throw new RuleFault(`header rule ${i}: ${reasonOf(error)}`)
    }
  })
  return out
}

function applied(headers: string[], rule: HeaderRule, facts: () => RuleFacts): string[] {
  if ('remove' in rule) return without(headers, rule.remove.toLowerCase())
  if ('rename' in rule) return renamed(headers, rule.rename.toLowerCase(), rule.to)
  if ('replace' in rule) return replaced(headers, rule)
  const text = typeof rule.to === 'function' ? rule.to(facts()) : rule.to
  if (text === undefined) return headers
  const name = 'set' in rule ? rule.set : rule.add
  checkValue(name, text)
  // `Host` stands first, and once.
  if (name.toLowerCase() === 'host') return ['host', text, ...without(headers, 'host')]
  const others = 'set' in rule ? without(headers, name.toLowerCase()) : headers
  return [...others, name, text]
}

function checkValue(name: string, text: unknown): asserts text is string {
  if (text instanceof Promise) text.catch(() => undefined)
  if (typeof text !== 'string') throw new Error(`the value of ${name} is no text`)
  if (text.length > mostValue || notOfValue.test(text)) throw new Error(`the value of ${name} cannot be sent`)
  if (name.toLowerCase() === 'host' && !hostText.test(text)) throw new Error('the value of host is no host')
}

const without = (headers: readonly string[], lower: string): string[] =>
  headers.filter((_, i) => headers[i - (i % 2)]!.toLowerCase() !== lower)

function renamed(headers: readonly string[], from: string, to: string): string[] {
  if (!headers.some((name, i) => i % 2 === 0 && name.toLowerCase() === from)) return [...headers]
  const target = to.toLowerCase()
  const kept = from === target ? headers : without(headers, target)
  return kept.map((text, i) => (i % 2 === 0 && text.toLowerCase() === from ? to : text))
}

function replaced(headers: readonly string[], rule: Extract<HeaderRule, { replace: string }>): string[] {
  const { match, with: by } = rule
  const name = rule.replace.toLowerCase()
  return headers.map((text, i) => {
    if (i % 2 === 0 || headers[i - 1]!.toLowerCase() !== name) return text
    // A sticky expression goes on from where it stopped the last time; a text means what it says, `$1` too.
    if (typeof match !== 'string') match.lastIndex = 0
    const made = typeof match === 'string' ? text.replaceAll(match, () => by) : text.replace(match, by)
    checkValue(rule.replace, made)
    return made
  })
}
