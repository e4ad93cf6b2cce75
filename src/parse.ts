// Checks what a user wrote against a schema, and reports every problem at once with its place.
import type { z } from 'zod'
import { BalancerError, type Problem } from './errors.ts'

/**
 * The parsed value, with defaults. Throws {@link BalancerError} `config-invalid` that lists each problem; `what` names the
 * input in the message: `createBalancer`.
 */
export function parseOptions<S extends z.ZodType>(schema: S, input: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, []))
  const list = problems.map(({ path, message }) => `\n  ${path}: ${message}`).join('')
  throw new BalancerError('config-invalid', `${what} has ${count(problems.length)}${list}`, { problems })
}

const count = (n: number): string => (n === 1 ? '1 problem' : `${n} problems`)

// The member of a union that was meant is the one that got furthest: a wrong type at its root means it was not meant.
function problemsOf(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[]): Problem[] {
  const path = [...prefix, ...issue.path]
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.filter((errors) => !errors.some((e) => e.path.length === 0 && e.code === 'invalid_type'))
    const only = meant.length === 1 ? meant[0] : undefined
    if (only !== undefined) return only.flatMap((inner) => problemsOf(inner, path))
  }
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: place([...path, key]), message: 'unknown option' }))
  }
  return [{ path: place(path), message: lowerFirst(issue.message) }]
}

function place(path: readonly PropertyKey[]): string {
  let out = ''
  for (const part of path) out += typeof part === 'number' ? `[${part}]` : `${out === '' ? '' : '.'}${String(part)}`
  return out === '' ? '(the whole)' : out
}

const lowerFirst = (text: string): string =>
  text.startsWith('Invalid input: ')
    ? text.slice('Invalid input: '.length)
    : text.charAt(0).toLowerCase() + text.slice(1)
