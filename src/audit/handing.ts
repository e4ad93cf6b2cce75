// Handing lines over to a sink: what it refuses for good is narrowed down to single lines.
import type { Batch, LineFeed, LogName, Sink } from '../sink.ts'
import type { Caller } from './caller.ts'

/** A line and its index in the log. */
export interface Indexed {
  readonly index: number
  readonly line: string
}

export interface Refused extends Indexed {
  readonly why: string
}

/** Lines of which so many were refused for good, and the others accepted. */
export interface Unnamed {
  readonly lines: readonly Indexed[]
  readonly count: number
  readonly why: string
}

/** A stretch of a log, with those of its lines that the sink gets. */
export interface Portion {
  readonly origin: string
  readonly first: number
  readonly last: number
  readonly lines: readonly Indexed[]
}

export interface Handed {
  /** The lines below this index are accepted, or refused for good. */
  readonly through: number
  readonly refused: readonly Refused[]
  /** Where the sink does not know which it refused. */
  readonly unnamed: readonly Unnamed[]
  /** The longest pause that a refusal asked for. */
  readonly retryAfterMs: number
  /** Why it came to no end: it was given up, or the sink wants to go on elsewhere. */
  readonly stopped?: 'given-up' | { readonly resumeAt: number }
}

/**
 * Writes until each line is accepted or refused for good. A batch that is refused as a whole is cut in halves (bisection): n
 * lines with one among them that the sink cannot take cost it about 2 log2 n writes.
 */
export async function hand(sink: Sink, caller: Caller, portion: Portion): Promise<Handed> {
  const { first, last, lines } = portion
  const nothing = { through: first, refused: [], unnamed: [], retryAfterMs: 0 }
  const all = { ...nothing, through: last + 1 }
  const batch = batchOf(portion)
  const answer = await caller.call((signal) => sink.write(batch, signal))
  if (answer === undefined) return all
  if (answer === 'given-up') return { ...nothing, stopped: answer }
  const { resumeAt, rejected, rejectedCount = 0, retryAfterMs, why } = answer
  if (resumeAt !== undefined) return { ...nothing, stopped: { resumeAt } }
  const because = (list: readonly Indexed[]): Refused[] => list.map((one) => ({ ...one, why }))
  const listed = rejected === undefined ? undefined : lines.filter(({ index }) => rejected.includes(index))
  // A list that names none of these lines says nothing of them.
  if (listed !== undefined && (listed.length > 0 || rejected?.length === 0))
    return { ...all, refused: because(listed), retryAfterMs }
  if (lines.length === 1 || rejectedCount >= lines.length) return { ...all, refused: because(lines), retryAfterMs }
  if (rejectedCount > 0) return { ...all, unnamed: [{ lines, count: rejectedCount, why }], retryAfterMs }
  const [one, other] = halves(portion)
  const left = await hand(sink, caller, one)
  if (left.stopped !== undefined) return left
  const right = await hand(sink, caller, other)
  return {
    ...right,
    refused: [...left.refused, ...right.refused],
    unnamed: [...left.unnamed, ...right.unnamed],
    retryAfterMs: Math.max(retryAfterMs, left.retryAfterMs, right.retryAfterMs),
  }
}

/** How many of these lines were accepted from this index on. */
export function acceptedFrom(from: number, lines: readonly Indexed[], { through, refused, unnamed }: Handed): number {
  const counts = ({ index }: Indexed): boolean => index >= from && index < through
  const among = unnamed.filter((one) => counts(one.lines[0]!)).reduce((sum, { count }) => sum + count, 0)
  return lines.filter(counts).length - refused.filter(counts).length - among
}

/** Leaf hashes of so many missing lines are handed over at once. */
const mostLeaves = 8192

/** Tells a sink that wants to know of lines that are gone. Returns why it came to no end, if it did not. */
export async function handMissing(
  sink: Sink,
  caller: Caller,
  feed: LineFeed,
  gone: { readonly log: LogName; readonly origin: string; readonly first: number; readonly last: number },
): Promise<Handed['stopped']> {
  const { log, origin } = gone
  for (let { first } = gone; sink.missing !== undefined && first <= gone.last; first += mostLeaves) {
    const last = Math.min(first + mostLeaves - 1, gone.last)
    const leaves = await feed.leaves(log, first, last)
    const answer = await caller.call((signal) => sink.missing!({ origin, first, last, leaves }, signal))
    if (answer === 'given-up') return answer
    if (answer?.resumeAt !== undefined) return { resumeAt: answer.resumeAt }
  }
  return undefined
}

function batchOf({ origin, first, last, lines }: Portion): Batch {
  const texts = lines.map(({ line }) => line)
  let bytes = 0
  for (const line of texts) bytes += Buffer.byteLength(line) + 1
  return { origin, first, last, lines: texts, bytes }
}

function halves({ origin, first, last, lines }: Portion): [Portion, Portion] {
  const middle = lines.length >> 1
  const border = lines[middle]!.index
  return [
    { origin, first, last: border - 1, lines: lines.slice(0, middle) },
    { origin, first: border, last, lines: lines.slice(middle) },
  ]
}
