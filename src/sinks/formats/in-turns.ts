// A format made of what each line becomes, so that a long batch can be formatted without holding the event loop up.
import { afterTurn } from '../../clock.ts'
import type { Batch } from '../../sink.ts'
import type { Format, Payload } from './format.ts'

/** To parse a line and map it takes up to 0.1 ms: so many take about one. */
const linesPerTurn = 10

/** What each of many becomes, in turns. */
export async function eachInTurns<I, T>(all: readonly I[], each: (one: I) => T): Promise<T[]> {
  const made: T[] = []
  for (const one of all) {
    if (made.length > 0 && made.length % linesPerTurn === 0) await new Promise<void>((resolve) => afterTurn(resolve))
    made.push(each(one))
  }
  return made
}

interface Parts<T> {
  each(line: string, batch: Batch): T
  /** Must be quick for each part. */
  whole(parts: readonly T[], batch: Batch): Payload
}

export function byLine<T>({ each, whole }: Parts<T>): Format {
  const atOnce = (batch: Batch): Payload =>
    whole(
      batch.lines.map((line) => each(line, batch)),
      batch,
    )
  const inTurns = async (batch: Batch): Promise<Payload> =>
    whole(await eachInTurns(batch.lines, (line) => each(line, batch)), batch)
  return Object.assign(atOnce, { inTurns })
}
