// A set of backends as a source got it, checked: it is taken whole, or not at all.
import { backendsSchema } from '../backend.ts'
import type { SourceFailure, SourceReport } from '../discovery.ts'
import { BalancerError } from '../errors.ts'
import { parseOptions, recordedOf } from '../parse.ts'

/** How many problems of one set are told. */
const mostProblems = 32
const mostText = 512

/** Never throws, whatever the value is or does. `at` is where the list stands, if it is not the whole. */
export function readSet(value: unknown, what: string, at = ''): SourceReport {
  try {
    return { backends: parseOptions(backendsSchema, value, what) }
  } catch (error) {
    return { failure: invalid(error, at) }
  }
}

export function invalid(error: unknown, at = ''): SourceFailure {
  if (!(error instanceof BalancerError) || error.problems.length === 0)
    return { cause: 'invalid', detail: detailOf(error) }
  const all = error.problems
  const place = (path: string): string => (at === '' ? path : path === '(the whole)' ? at : `${at}${path}`)
  const problems = all
    .slice(0, mostProblems)
    .map((problem) => ({ path: short(place(problem.path)), message: short(recordedOf(problem)) }))
  return { cause: 'invalid', detail: all.length === 1 ? '1 problem' : `${all.length} problems`, problems }
}

/** The text of a fault as events have it. */
export const detailOf = (error: unknown): string => short(recordedOf(error))

const short = (text: string): string => text.slice(0, mostText).toWellFormed()
