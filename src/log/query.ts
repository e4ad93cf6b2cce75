// Reads an audit folder: the events of all its logs, merged by time.
import { type Clock, systemClock } from '../clock.ts'
import type { LoggedEvent } from './envelope.ts'
import { type EventFilter, type LogFilters, parseFilters, timeOf } from './filters.ts'
import { findInstances } from './folder.ts'
import { Heap } from './heap.ts'
import { readLog } from './reader.ts'

/** The next event of one log. */
interface Head {
  readonly event: LoggedEvent
  /** Time of the event, or of the latest before it: within a log the index is the order, whatever the clock did. */
  readonly time: number
  readonly log: number
  readonly source: AsyncGenerator<LoggedEvent>
}

/**
 * The events of all instances and logs that match. Those of one log come in the order of its index, whatever their times: that is
 * what is signed. Of the logs the one goes on whose next event is the earliest; among equal times that of the instance whose name
 * is first, then traffic before security before control. So an event comes behind a later one only where its own log has such a
 * one before it. One event of each log is in memory at a time, and with `last` those that it asks for. Throws at the first step: `config-invalid` for filters that are not valid, `log-invalid` for a folder that
 * cannot be read, be it that of one instance: what is in it would be missing without a word.
 */
export async function* queryLog(
  dir: string,
  filters: LogFilters = {},
  clock: Clock = systemClock,
): AsyncGenerator<LoggedEvent, void, undefined> {
  const filter = parseFilters(filters, clock)
  const events = merged(dir, filter)
  if (filter.last === undefined) return yield* events
  const ring: LoggedEvent[] = []
  let count = 0
  for await (const event of events) ring[count++ % filter.last] = event
  const start = count > filter.last ? count % filter.last : 0
  yield* ring.slice(start)
  yield* ring.slice(0, start)
}

async function* merged(dir: string, filter: EventFilter): AsyncGenerator<LoggedEvent, void, undefined> {
  const instances = await findInstances(dir)
  const logs = instances.flatMap((instance) => instance.logs).filter(({ log }) => log === (filter.log ?? log))
  const sources = logs.map(({ dir }) => readLog(dir, filter))
  const heads = new Heap<Head>((a, b) => a.time < b.time || (a.time === b.time && a.log < b.log))
  const advance = async (source: AsyncGenerator<LoggedEvent>, log: number, after: number): Promise<void> => {
    const { done, value: event } = await source.next()
    if (done === true) return
    const time = timeOf(event)
    heads.push({ event, time: Number.isNaN(time) ? after : Math.max(time, after), log, source })
  }
  try {
    for (const [log, source] of sources.entries()) await advance(source, log, -Infinity)
    for (let given = 0; given < filter.limit; given++) {
      const head = heads.pop()
      if (head === undefined) return
      yield head.event
      await advance(head.source, head.log, head.time)
    }
  } finally {
    for (const source of sources) await source.return(undefined)
  }
}
