// Accounts of what was emitted: each sink has it as a line or as a place in a gap, and nothing as both.
import { expect } from 'vitest'

/** A line, as far as accounts need it. */
export interface Line {
  readonly audit: { readonly origin: string; readonly index: number }
  readonly event_name: string
  readonly log?: {
    readonly sink?: string
    readonly origin?: string
    readonly first?: number
    readonly last?: number
    readonly count?: number
    readonly emitted?: number
  }
}

/** What makes lines long in tests. */
const filler = 'x'.repeat(1000)

export const parsed = (text: string): Line[] =>
  text
    .replaceAll(filler, '')
    .split('\n')
    .filter((line) => line.startsWith('{"') && !/^\{"(?:checkpoint|hashes)"/.test(line))
    .map((line) => JSON.parse(line) as Line)

const placeOf = (origin: string, index: number): string => `${origin}#${index}`

export interface Account {
  readonly sink: string
  /** Every line that it has got, in any order, any number of times. */
  readonly lines: readonly Line[]
  /** Whether its filter lets an event through. */
  readonly wants?: (name: string) => boolean
}

/** What was taken in and what became of it, over all sinks. */
export interface Sum {
  /** How many events there were. */
  readonly emitted: number
  /** How many lines of the log a sink did not get, by its gaps; and of the file, what its gaps and repairs tell. */
  readonly gaps: Record<string, number>
  /** Events that no sink got, since they never were lines. */
  lost: number
}

/** By place the name of the event, as far as anybody has got it; and of each origin where it ends. */
function logOf(accounts: readonly Account[]) {
  const names = new Map<string, string>()
  const ends = new Map<string, number>()
  for (const { lines } of accounts)
    for (const { audit, event_name } of lines) {
      names.set(placeOf(audit.origin, audit.index), event_name)
      ends.set(audit.origin, Math.max(ends.get(audit.origin) ?? 0, audit.index + 1))
    }
  return { names, ends }
}

/** Places that the gaps of a sink tell of, as the sink itself has got them. */
function missedBy({ sink, lines }: Account): Set<string> {
  const missed = new Set<string>()
  for (const { event_name, log } of new Map(
    lines.map((line) => [placeOf(line.audit.origin, line.audit.index), line]),
  ).values()) {
    if (event_name !== 'audit.gap' || log!.sink !== sink) continue
    expect(log!.count).toBe(log!.last! - log!.first! + 1)
    for (let i = log!.first!; i <= log!.last!; i++) missed.add(placeOf(log!.origin!, i))
  }
  return missed
}

/** Events that gaps tell of which no line was made of. */
function neverLines({ lines }: Account): number {
  const gaps = lines.filter(({ event_name, log }) => event_name === 'audit.gap' && log!.sink === undefined)
  const once = new Map(gaps.map(({ audit, log }) => [placeOf(audit.origin, audit.index), log!.count!]))
  return [...once.values()].reduce((sum, count) => sum + count, 0)
}

/** Lines that are not in the file any more, since somebody has cut it or by retention, as it tells itself; and what it was not there for. */
function gone(file: Account): number {
  const cut = new Set<string>()
  const prunedBelow = new Map<string, number>()
  let missed = 0
  for (const { audit, event_name, log } of file.lines) {
    const { origin } = audit
    // The record of an earlier deletion may be deleted by a later one.
    if (event_name === 'audit.pruned') prunedBelow.set(origin, Math.max(prunedBelow.get(origin) ?? 0, log!.last! + 1))
    if (event_name === 'audit.gap' && log!.sink === 'file') missed += log!.count!
    if (event_name !== 'audit.recovered' || log!.last === undefined) continue
    for (let i = log!.first!; i <= log!.last; i++) cut.add(placeOf(origin, i))
  }
  return [...prunedBelow.values()].reduce((sum, count) => sum + count, missed + cut.size)
}

/** Delivered + gaps = emitted, for each sink and exactly; by index where there is one. */
export function expectAccounted(emitted: number, sinks: readonly Account[], file: Account | undefined): Sum {
  const all = file === undefined ? sinks : [...sinks, file]
  const { names, ends } = logOf(all)
  const lost = neverLines(file ?? sinks[0]!)
  const sum: Sum = { emitted, gaps: {}, lost }
  let places = 0
  for (const end of ends.values()) places += end
  expect(places + lost, 'lines and what never was one').toBe(emitted)
  for (const account of sinks) {
    const got = new Set(account.lines.map(({ audit }) => placeOf(audit.origin, audit.index)))
    const missed = missedBy(account)
    sum.gaps[account.sink] = missed.size
    expect(neverLines(account), account.sink).toBe(lost)
    for (const [origin, end] of ends)
      for (let i = 0; i < end; i++) {
        const place = placeOf(origin, i)
        const name = names.get(place)
        const kept = name !== undefined && account.wants?.(name) === false
        const times = Number(got.has(place)) + Number(missed.has(place))
        if (kept ? got.has(place) : times !== 1)
          expect.fail(`${account.sink}: ${place} ${name} is there ${times} times`)
      }
    if (account.wants === undefined) expect(got.size + missed.size + lost, account.sink).toBe(emitted)
  }
  if (file === undefined) return sum
  const got = new Set(file.lines.map(({ audit }) => placeOf(audit.origin, audit.index)))
  expect(got.size, 'the file has each line once').toBe(file.lines.length)
  sum.gaps.file = gone(file)
  expect(got.size + sum.gaps.file + lost, 'file').toBe(emitted)
  return sum
}
