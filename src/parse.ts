// Checks what a user wrote against a schema, and reports every problem at once with its place.
import type { z } from 'zod'
import { BalancerError, type Problem, reasonOf } from './errors.ts'
import { edits, nearest } from './nearest.ts'
import type { Place } from './refused.ts'
import { isSecretName } from './secret.ts'
import { kindOf, quoted } from './shown.ts'

type Issue = z.core.$ZodIssue

/** What came of reading an input. */
export interface Reading<T> {
  readonly valid: boolean
  /** The parsed value, with defaults. Throws {@link BalancerError} `config-invalid` that lists each problem. */
  take(): T
  /** Where the input holds what the schema did not accept, or what stands where the schema knows nothing. */
  readonly refused: readonly Place[]
}

/** `what` names the input in the message of the error: `update`. */
export function read<S extends z.ZodType>(schema: S, input: unknown, what: string): Reading<z.output<S>> {
  let parsed: z.ZodSafeParseResult<z.output<S>>
  try {
    parsed = schema.safeParse(input)
  } catch (error) {
    // A getter of what was given has thrown, or it cannot be frozen.
    const unreadable = new BalancerError('config-invalid', `${what} cannot be read: ${reasonOf(error)}`, {
      cause: error,
    })
    return {
      valid: false,
      refused: [[]],
      take() {
        throw unreadable
      },
    }
  }
  if (parsed.success) return { valid: true, refused: [], take: () => parsed.data }
  const names = 'shape' in schema ? Object.keys(schema.shape as object) : []
  const faults = parsed.error.issues.flatMap((issue) => faultsOf(issue, [], input, names))
  return {
    valid: false,
    refused: faults.flatMap(({ refused }) => (refused === undefined ? [] : [refused])),
    take() {
      throw errorOf(faults, what)
    },
  }
}

/**
 * The parsed value, with defaults. Throws {@link BalancerError} `config-invalid` that lists each problem; `what` names the
 * input in the message: `createBalancer`.
 */
export const parseOptions = <S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> =>
  read(schema, input, what).take()

const told = new WeakMap<object, string>()

/** The text of a fault, or of one problem, as lines have it: of what was given nothing but kind and length. Never throws. */
export const recordedOf = (fault: unknown): string => told.get(Object(fault)) ?? reasonOf(fault)

interface Fault {
  readonly problem: Problem
  /** The same as lines tell it. */
  readonly recorded: string
  readonly refused: Place | undefined
}

function errorOf(faults: readonly Fault[], what: string): BalancerError {
  const headed = (list: string): string => `${what} has ${count(faults.length)}${list}`
  const listed = (wordOf: (fault: Fault) => string): string =>
    headed(faults.map((fault) => `\n  ${fault.problem.path}: ${wordOf(fault)}`).join(''))
  const problems = faults.map(({ problem }) => problem)
  const error = new BalancerError(
    'config-invalid',
    listed(({ problem }) => problem.message),
    { problems },
  )
  told.set(
    error,
    new BalancerError(
      'config-invalid',
      listed(({ recorded }) => recorded),
    ).message,
  )
  for (const { problem, recorded } of faults) told.set(problem, recorded)
  return error
}

const count = (n: number): string => (n === 1 ? '1 problem' : `${n} problems`)

/** `names` are the options that the input itself can have. */
function faultsOf(issue: Issue, prefix: readonly PropertyKey[], input: unknown, names: readonly string[]): Fault[] {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const meant = meantOf(issue.errors)
    if (meant !== undefined) return meant.flatMap((inner) => faultsOf(inner, path, input, names))
  }
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => {
      const at = [...path, key]
      const message = unknown(key, path.length > 0 ? [] : names)
      return { problem: { path: place(at), message }, recorded: message, refused: at }
    })
  let found: unknown = input
  for (const part of path) found = (found as Record<PropertyKey, unknown> | null | undefined)?.[part]
  const message = own(issue.message) ? issue.message : expectation(issue)
  const complete = !message.startsWith('expected ') || message.includes(', got ')
  const worded = (got: string): string => (complete ? message : `${message}, got ${got}`)
  return [
    {
      problem: { path: place(path), message: worded(shownAs(found, path, issue)) },
      recorded: worded(recordedAs(found, issue)),
      refused: isOutOfRange(found, issue) ? undefined : isUnread(issue) ? path.slice(0, -1) : path,
    },
  ]
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

/** Whether what was found is of the right kind, and no more than too small or too large. */
const isOutOfRange = (found: unknown, { code }: Issue): boolean =>
  (code === 'too_small' || code === 'too_big' || code === 'invalid_type') &&
  typeof found === 'number' &&
  (code !== 'invalid_type' || !Number.isSafeInteger(found))

/** Whether nothing else of the object was read, for it is not known what it is. */
const isUnread = (issue: Issue): boolean =>
  issue.code === 'custom' ? issue.params?.unread === true : issue.code === 'invalid_union' && 'discriminator' in issue

/** How a line tells what was found: what was not accepted may be a secret that stands in a wrong place. */
function recordedAs(found: unknown, issue: Issue): string {
  return isOutOfRange(found, issue) || isTooLong(found, issue) ? lengthOrValue(found) : kindOf(found)
}

/** How an error shows it: a text only where one of a kind was expected, for elsewhere it may be a secret. */
function shownAs(found: unknown, path: readonly PropertyKey[], issue: Issue): string {
  if (isTooLong(found, issue)) return lengthOrValue(found)
  if (isSecretPlace(path)) return kindOf(found)
  if (typeof found === 'number') return String(found)
  if (issue.code === 'custom' && typeof issue.params?.got === 'string') return issue.params.got
  return typeof found === 'string' && expectsText(issue) ? quoted(found) : kindOf(found)
}

const isTooLong = (found: unknown, { code }: Issue): boolean =>
  typeof found === 'string' && found !== '' && (code === 'too_big' || code === 'too_small')

const lengthOrValue = (found: unknown): string => String(typeof found === 'string' ? found.length : found)

const expectsText = (issue: Issue): boolean =>
  issue.code === 'invalid_format' ||
  (issue.code === 'invalid_value' && issue.values.some((value) => typeof value === 'string'))

/** Where even what is of the wrong kind may be a key, a passphrase or the value of a header. */
function isSecretPlace(path: readonly PropertyKey[]): boolean {
  const last = path.at(-1)
  return (
    path.some((part) => part === 'tls' || (typeof part === 'string' && isSecretName(part))) ||
    last === 'key' ||
    path.at(-2) === 'headers' ||
    (path.includes('headers') && (last === 'to' || last === 'match' || last === 'with'))
  )
}

function place(path: readonly PropertyKey[]): string {
  let out = ''
  for (const part of path) out += typeof part === 'number' ? `[${part}]` : `${out === '' ? '' : '.'}${String(part)}`
  return out === '' ? '(the whole)' : out
}
