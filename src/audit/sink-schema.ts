// What a sink that the host hands in must be.
import { z } from 'zod'
import { BalancerError, type Problem } from '../errors.ts'
import { edits } from '../nearest.ts'
import { parseOptions } from '../parse.ts'
import type { AnySink, Sink } from '../sink.ts'
import { filterSchema } from '../sink-filter.ts'
import { feedSchema } from './feed.ts'

export const hasFunctions = (value: unknown, ...names: string[]): boolean =>
  typeof value === 'object' &&
  value !== null &&
  names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function')

/** What is wrong here does not keep the rest from being checked. */
export const report = (message: string) => ({ message, abort: false })

const hasName = (value: unknown): boolean => {
  const { name } = value as { name?: unknown }
  return typeof name === 'string' && name !== ''
}

const expectedOfFeed = (member: PropertyKey | undefined): string =>
  member === undefined
    ? 'expected an object'
    : member === 'from'
      ? "expected 'now' or 'oldest'"
      : 'expected an integer from 1, and of ms at most a day'

/** The members that a sink may leave out, and what each is. */
const optional: Readonly<Record<keyof Omit<Sink, 'name' | 'write'>, readonly string[]>> = {
  feed: ['object'],
  filter: ['object', 'function'],
  open: ['function'],
  checkpoint: ['function'],
  missing: ['function'],
  close: ['function'],
}

/** Names that are words of their own, and one letter away. */
const ownWords = new Set(['clone', 'closed', 'closer', 'closes', 'need', 'opens', 'seed'])

/**
 * Members of a plain object that are one letter away from one that it lacks, and could be that. Others are state of the
 * sink's own, as all are that a class brings.
 */
function misspelt(sink: Readonly<Record<string, unknown>>): [found: string, meant: string][] {
  if (Object.getPrototypeOf(sink) !== Object.prototype) return []
  const words = Object.keys(sink).filter((found) => !ownWords.has(found))
  const lacking = Object.entries(optional).filter(([name]) => !(name in sink))
  return words.flatMap((found) => {
    const near = lacking.filter(([name]) => edits(found.toLowerCase(), name) <= 1)
    // Read only then: it may be a getter that is of use later.
    const meant = near.find(([, kinds]) => kinds.includes(typeof sink[found]))
    return meant === undefined ? [] : [[found, meant[0]]]
  })
}

function problemsOfFilter(filter: unknown): readonly Problem[] {
  try {
    parseOptions(z.strictObject({ filter: filterSchema.optional() }), { filter }, 'the sink')
    return []
  } catch (error) {
    return error instanceof BalancerError ? (error.problems ?? []) : []
  }
}

export const sinkSchema = z
  .custom<AnySink>(
    (value) =>
      (hasFunctions(value, 'write') || hasFunctions(value, 'append', 'durable', 'open', 'close')) && hasName(value),
    report('expected a sink: an object with `name` and a function `write`'),
  )
  .superRefine((given, context) => {
    // Runs also for what is no sink at all.
    const sink = Object(given)
    const problem = (path: PropertyKey[], message: string) => context.addIssue({ code: 'custom', path, message })
    for (const issue of feedSchema.safeParse(sink.feed).error?.issues ?? []) {
      if (issue.code !== 'unrecognized_keys') problem(['feed', ...issue.path], expectedOfFeed(issue.path[0]))
      else for (const key of issue.keys) problem(['feed', key], 'unknown option')
    }
    for (const { path, message } of problemsOfFilter(sink.filter)) problem([path], message)
    for (const [found, meant] of misspelt(sink)) problem([found], `unknown member; the nearest is \`${meant}\``)
  })
