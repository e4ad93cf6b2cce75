// Handing lines over to a sink: what it refuses for good is narrowed down to single lines.
import type { Batch, Sink } from '../sink.ts'
import type { Caller } from './caller.ts'

/** A line and its index in the log. */
export interface Indexed {
  readonly index: number
  readonly line: string
}

export interface Refused extends Indexed {
  readonly why: string
}

/** A stretch of a log, with those of its lines that the sink gets. */
export interface Portion {
  readonly origin: string
  readonly first: number
  readonly last: number
  readonly lines: readonly Indexed[]
}

export type Handed =
  | { readonly refused: readonly Refused[] }
  /** The sink wants to go on elsewhere; nothing is known of these lines. */
  | { readonly resumeAt: number }
  | 'given-up'

/**
 * Writes until each line is accepted or refused for good. A batch that is refused as a whole is cut in halves (bisection): n
 * lines with one among them that the sink cannot take cost it about 2 log2 n writes.
 */
export async function hand(sink: Sink, caller: Caller, portion: Portion): Promise<Handed> {
  const batch = batchOf(portion)
  const answer = await caller.call((signal) => sink.write(batch, signal))
  if (answer === undefined) return { refused: [] }
  if (answer === 'given-up') return answer
  const { resumeAt, rejected, why } = answer
  if (resumeAt !== undefined) return { resumeAt }
  const { lines } = portion
  if (rejected !== undefined)
    return { refused: lines.filter(({ index }) => rejected.includes(index)).map((one) => ({ ...one, why })) }
  if (lines.length === 1) return { refused: [{ ...lines[0]!, why }] }
  const refused: Refused[] = []
  for (const half of halves(portion)) {
    const handed = await hand(sink, caller, half)
    if (handed === 'given-up' || 'resumeAt' in handed) return handed
    refused.push(...handed.refused)
  }
  return { refused }
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
