// Rules for paths: what a backend is asked for, where that is not what the client asked for.
import { z } from 'zod'
import { ruleSchema } from './rule-schema.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: a path holds none of these, and no query or fragment
const notOfPath = /[\x00-\x20"<>\\^`{|}?#\x7f-\uffff]/

/** A segment `.` or `..`, as any backend may read one: with escapes, backslashes, or parameters behind it. */
const dotSegment = /(?:[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;]|%2f|%5c|%3b|$)/i

const prefix = z
  .string()
  .regex(/^\//, 'expected a path that begins with /')
  .refine(
    (text) => !notOfPath.test(text),
    'expected a path without query, fragment and characters that must be escaped',
  )
  .refine((text) => !dotSegment.test(text), 'expected a path without the segments . and ..')

const rule = ruleSchema(
  {
    stripPrefix: z.strictObject({
      /** Taken off where the path begins with it, at the border of a segment: `/api` is no prefix of `/apis`. */
      stripPrefix: prefix,
    }),
    addPrefix: z.strictObject({
      /** Put before the path. */
      addPrefix: prefix,
    }),
    replace: z.strictObject({
      /** What is replaced in the path. */
      replace: z.instanceof(RegExp, { error: 'expected a regular expression' }),
      /** By what; `$1` is what the first group matched. */
      with: z.string(),
    }),
  },
  'expected an object with `stripPrefix`, with `addPrefix`, or with `replace` and `with`',
)

/** Rules in the order in which they are applied. They see the path without its query, which stays as it is. */
export const pathSchema = z.array(rule).max(64)
export type PathConfig = z.output<typeof pathSchema>

/** The target that rules make, or whose fault it is that they make none. */
export type Rewritten =
  | { readonly target: string }
  | { readonly result: 'malformed' | 'internal'; readonly detail: string }

/** `target` is in origin form. Never throws. */
export function rewritten(target: string, rules: PathConfig): Rewritten {
  const mark = target.indexOf('?')
  const asked = mark === -1 ? target : target.slice(0, mark)
  let path = asked
  for (const one of rules) path = applied(path, one)
  if (!path.startsWith('/') || badPath.test(path)) return { result: 'internal', detail: 'path rules made no path' }
  // A backend would resolve it, and be asked for what the rules do not allow.
  if (dotSegment.test(path)) return { result: 'malformed', detail: 'a dot segment in a path that rules apply to' }
  return { target: mark === -1 ? path : `${path}${target.slice(mark)}` }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const badPath = /[\x00-\x20?#\\\x7f\u0100-\uffff]/

function applied(path: string, rule: PathConfig[number]): string {
  if ('addPrefix' in rule) return `${trimmed(rule.addPrefix)}${path}`
  if ('replace' in rule) {
    // A sticky expression goes on from where it stopped the last time.
    rule.replace.lastIndex = 0
    return path.replace(rule.replace, rule.with)
  }
  const off = trimmed(rule.stripPrefix)
  if (path === off) return '/'
  return path.startsWith(`${off}/`) ? path.slice(off.length) : path
}

/** Without the slash at its end: the path has its own. */
const trimmed = (prefix: string): string => prefix.replace(/\/$/, '')
