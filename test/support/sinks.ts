// Sinks, stores and loggers for tests: real implementations of the contracts, that do as a test tells them.
import type { Logger } from '../../src/runtime.ts'
import type { Batch, LineFeed, LogHead, LogName, LogStore, Sink } from '../../src/sink.ts'

export interface Collected extends Sink {
  readonly batches: Batch[]
  /** Every line that was accepted, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every kind.
  events(name?: string): any[]
  lines(): string[]
  /** What happens to the next writes, in turn; undefined accepts. When it is used up, all are accepted. */
  readonly script: ((() => Promise<void> | never) | undefined)[]
  writes: number
}

/** A sink that keeps what it accepts. */
export function collect(name = 'kept', feed: Sink['feed'] = { intervalMs: 1 }): Collected {
  const batches: Batch[] = []
  const script: Collected['script'] = []
  return {
    name,
    feed,
    batches,
    script,
    writes: 0,
    async write(batch) {
      this.writes++
      await script.shift()?.()
      batches.push(batch)
    },
    lines: () => batches.flatMap((batch) => batch.lines),
    events: (wanted) =>
      batches
        .flatMap((batch) => batch.lines.map((line) => JSON.parse(line)))
        .filter((event) => wanted === undefined || event.event_name === wanted),
  }
}

/** A feed of lines that are in memory, as one of a store that keeps them on disk. */
export function feedOf(
  heads: Readonly<Record<LogName, LogHead>>,
  lines: Readonly<Record<LogName, string[]>>,
): LineFeed {
  const cursors = new Map<string, Record<LogName, number>>()
  const end = (log: LogName): number => heads[log].next + lines[log].length
  return {
    lasting: true,
    bounds: (log) => ({ origin: heads[log].origin, first: heads[log].next, end: end(log) }),
    async read(log, from, most) {
      const found = lines[log].slice(from - heads[log].next, from - heads[log].next + most.lines)
      return found.length === 0 ? undefined : { lines: found, bytes: 0 }
    },
    leaves: async () => [],
    checkpoint: () => undefined,
    async cursor(sink) {
      const places = cursors.get(sink) ?? {
        traffic: end('traffic'),
        security: end('security'),
        control: end('control'),
      }
      cursors.set(sink, places)
      return {
        next: (log) => places[log],
        advance(log, next) {
          places[log] = next
        },
      }
    },
    bury: async () => false,
  }
}

export interface TestStore extends LogStore {
  /** Accepted lines by log. */
  readonly lines: Record<LogName, string[]>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every kind.
  events(log: LogName): any[]
  /** Whether lines are taken. */
  takes: boolean
  /** Why lines cannot be written. */
  faults: Partial<Record<LogName, string>>
  /** What opening meets. */
  opening: () => Promise<void>
  /** What a wait for durability meets. */
  durability: LogStore['durability']
  persist: () => Promise<void>
  closed: number
}

/** A log store in memory. */
export function memoryStore(given: Partial<TestStore> = {}): TestStore {
  const lines: Record<LogName, string[]> = { traffic: [], security: [], control: [] }
  const head = (log: LogName) => ({ origin: `shop/one/${log}/00`, next: 0 })
  const heads = { traffic: head('traffic'), security: head('security'), control: head('control') }
  let grown: (log: LogName) => void = () => undefined
  return {
    name: 'memory',
    source: feedOf(heads, lines),
    kind: 'store',
    durability: 'group',
    faults: {},
    takes: true,
    opening: async () => undefined,
    persist: async () => undefined,
    closed: 0,
    lines,
    events: (log) => lines[log].map((line) => JSON.parse(line)),
    async open(_, hooks) {
      await this.opening()
      grown = hooks.grown
      return { instance: 'one', vkey: 'shop/one+00000000+AA==', heads }
    },
    append(log, index, line) {
      if (!this.takes) return false
      if (index !== lines[log].length) throw new Error(`expected line ${lines[log].length}, got ${index}`)
      lines[log].push(line)
      queueMicrotask(() => grown(log))
      return true
    },
    fault(log) {
      return this.faults[log]
    },
    durable() {
      return this.persist()
    },
    async close() {
      this.closed++
      return { unwritten: 0 }
    },
    release: async () => undefined,
    ...given,
  } as TestStore
}

export interface TestLogger extends Logger {
  readonly told: { level: string; message: string; fields: Record<string, unknown> }[]
}

export function keepLogger(): TestLogger {
  const told: TestLogger['told'] = []
  const keep = (level: string) => (fields: object, message: string) =>
    void told.push({ level, message, fields: fields as Record<string, unknown> })
  return { told, warn: keep('warn'), error: keep('error') }
}
