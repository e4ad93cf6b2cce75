// Checks what a user wrote against a schema, and reports every problem at once with its place.
import type { z } from 'zod'
import { BalancerError, type Problem } from './errors.ts'
import { edits, nearest } from './nearest.ts'
import { shownOf } from './secret.ts'

type Issue = z.core.$ZodIssue

/**
 * The parsed value, with defaults. Throws {@link BalancerError} `config-invalid` that lists each problem; `what` names the
 * input in the message: `createBalancer`.
 */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const names = 'shape' in schema ? Object.keys(schema.shape as object) : []
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, [], input, names))
  const list = problems.map(({ path, message }) => `\n  ${path}: ${message}`).join('')
  throw new BalancerError('config-invalid', `${what} has ${count(problems.length)}${list}`, { problems })
}

const count = (n: number): string => (n === 1 ? '1 problem' : `${n} problems`)

/** `names` are the options that the input itself can have. */
function problemsOf(issue: Issue, prefix: readonly PropertyKey[], input: unknown, names: readonly string[]): Problem[] {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const meant = meantOf(issue.errors)
    if (meant !== undefined) return meant.flatMap((inner) => problemsOf(inner, path, input, names))
  }
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      path: place([...path, key]),
      message: unknown(key, path.length > 0 ? [] : names),
    }))
  const message = own(issue.message) ? issue.message : expectation(issue)
  const complete = !message.startsWith('expected ') || message.includes(', got ')
  return [{ path: place(path), message: complete ? message : `${message}, got ${got(input, path, issue)}` }]
}

/** The nearest name is told where the other can be a slip of it: one letter of three at most. */
function unknown(key: string, names: readonly string[]): string {
  const meant = nearest(key, names)
  const isSlip = meant !== '' && edits(key, meant) <= key.length / 3
  return isSlip ? `unknown option; the nearest is ${JSON.stringify(meant)}` : 'unknown option'
}

// The member of a union that was meant is the one that got furthest: none of it was read if its root has the wrong type,
// all of it if only its own rule at the end found fault.
function meantOf(members: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const rank = (issues: readonly Issue[]): number => Math.min(...issues.map(depthOf))
  const ranks = members.map(rank)
  const best = Math.max(0, ...ranks)
  return best === 0 ? undefined : members[ranks.indexOf(best)]
}

function depthOf(issue: Issue): number {
  if (issue.path.length > 0 || issue.code === 'unrecognized_keys') return 2
  if (issue.code === 'invalid_union')
    return Math.max(0, ...issue.errors.map((inner) => Math.min(...inner.map(depthOf))))
  return issue.code === 'invalid_type' || issue.code === 'invalid_value' || !own(issue.message) ? 0 : 1
}

/** Whether a schema of ours worded this message; the others come from zod. */
const own = (message: string): boolean => !/^(Invalid |Too (small|big)|Unrecognized )/.test(message)

const types: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'an integer',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
}

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${types[issue.expected] ?? `a ${issue.expected}`}`
    case 'invalid_value':
      return `expected ${issue.values.map((value) => (typeof value === 'string' ? `"${value}"` : String(value))).join(' or ')}`
    case 'too_small':
      return `expected ${bound('at least', Number(issue.minimum), issue.origin)}`
    case 'too_big':
      return `expected ${bound('at most', Number(issue.maximum), issue.origin)}`
    case 'invalid_union': {
      const all = issue.errors.flatMap((inner) =>
        inner.map((one) => (own(one.message) ? one.message : expectation(one))),
      )
      return `expected ${[...new Set(all)].map((text) => text.replace(/^expected /, '')).join(', or ')}`
    }
    default:
      return 'expected something else'
  }
}

function bound(which: string, limit: number, origin: string): string {
  if (origin === 'string')
    return limit === 1 && which === 'at least' ? 'text that is not empty' : `${which} ${limit} characters`
  return origin === 'array' ? `${which} ${limit} entries` : `${which} ${limit}`
}

/** Members below which nothing is shown. */
const secretPlaces: ReadonlySet<PropertyKey> = new Set(['secret', 'tls'])

/** What stands at this place. Text is shown only where one of a kind was expected: elsewhere it may be a secret. */
function got(input: unknown, path: readonly PropertyKey[], issue: Issue): string {
  let at: unknown = input
  for (const part of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[part]
  if (at === undefined) return 'nothing'
  // Here even what is of the wrong kind may be a key or a passphrase.
  if (path.some((part) => secretPlaces.has(part)) && typeof at !== 'object') return `a ${typeof at}`
  if (at === null || typeof at === 'number' || typeof at === 'boolean') return String(at)
  if (typeof at === 'string') {
    if (issue.code === 'too_big') return String(at.length)
    const secret = issue.code === 'invalid_union' || issue.code === 'custom'
    if (at === '' || secret) return at === '' ? 'empty text' : 'text'
    const shown = shownOf(at)
    return JSON.stringify(shown.length > 64 ? `${shown.slice(0, 64)}…` : shown)
  }
  if (typeof at === 'function') return 'a function'
  return Array.isArray(at) ? 'a list' : typeof at === 'object' ? 'an object' : `a ${typeof at}`
}

function place(path: readonly PropertyKey[]): string {
  let out = ''
  for (const part of path) out += typeof part === 'number' ? `[${part}]` : `${out === '' ? '' : '.'}${String(part)}`
  return out === '' ? '(the whole)' : out
}
