// Logs for tests: opens a file sink, and writes lines that fit their place.
import { canonical } from '../../src/canonical.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import type { FileSinkConfig } from '../../src/log/options.ts'
import { seededRandom } from '../../src/random.ts'
import type { Logger } from '../../src/runtime.ts'
import type { LogName, LogStore, OpenedStore, StoreNotice } from '../../src/sink.ts'
import { type FileSinkOptions, fileSinkSchema, fileStore } from '../../src/sinks/file.ts'

export interface TestLog {
  readonly sink: LogStore
  readonly opened: OpenedStore
  readonly notices: StoreNotice[]
  /** Each growth that was told. */
  readonly grown: LogName[]
  /** What was told to the logger. */
  readonly told: string[]
  /** Appends so many lines, and returns the index of the last. `fields` are added to each. */
  write(log: LogName, count: number, fields?: Record<string, unknown>): number
  close(): Promise<{ readonly unwritten: number }>
}

export interface OpenOptions {
  readonly clock?: Clock
  readonly service?: string
  /** In the place of the options, taken as it is. */
  readonly config?: FileSinkConfig
  /** What is recorded in the place of each event that the store tells of. */
  readonly instead?: string
}

export async function openLog(
  options: FileSinkOptions,
  { clock = systemClock, service = 'shop', config: given, instead }: OpenOptions = {},
): Promise<TestLog> {
  const { maxBytes, segment, ...others } = options
  const config = fileSinkSchema.parse(others)
  // Below what the schema allows: what is small is soon full.
  const sink = fileStore(
    given ?? {
      ...config,
      maxBytes: maxBytes ?? config.maxBytes,
      segment: {
        maxBytes: segment?.maxBytes ?? config.segment.maxBytes,
        maxAgeMs: segment?.maxAgeMs ?? config.segment.maxAgeMs,
        compress: segment?.compress ?? 'none',
      },
    },
  )
  const notices: StoreNotice[] = []
  const grown: LogName[] = []
  const told: string[] = []
  const logger: Logger = { warn: (_, message) => told.push(message), error: (_, message) => told.push(message) }
  const opened = await sink.open(
    { service, clock, random: seededRandom(1), logger },
    {
      grown: (log) => void grown.push(log),
      notify(notice) {
        notices.push(notice)
        // As the trail does: lines may be missing only if the log tells so.
        if (['audit.pruned', 'audit.key_rotated', 'audit.hold_changed'].includes(notice.event))
          append(notice.log, { event_name: instead ?? notice.event, log: notice.facts })
      },
    },
  )
  const next = {
    traffic: opened.heads.traffic.next,
    security: opened.heads.security.next,
    control: opened.heads.control.next,
  }
  const append = (log: LogName, fields: Record<string, unknown>): boolean => {
    if (!sink.append(log, next[log], lineAt(opened.heads[log].origin, next[log], fields))) return false
    next[log]++
    return true
  }
  return {
    sink,
    opened,
    notices,
    grown,
    told,
    write(log, count, fields = {}) {
      for (let i = 0; i < count; i++) if (!append(log, fields)) throw new Error('a line was not taken')
      return next[log] - 1
    },
    async close() {
      // As long as it takes: a log that closes before its disk has answered keeps its lock.
      const closed = await sink.close(600_000)
      await sink.release()
      return closed
    },
  }
}

/** A line as the seal makes it. */
export const lineAt = (origin: string, index: number, fields: Record<string, unknown> = {}): string =>
  canonical({
    audit: { index, origin },
    event_name: 'request.completed',
    time: new Date(Date.UTC(2026, 0, 1) + index).toISOString(),
    ...(fields as Record<string, string>),
  })
