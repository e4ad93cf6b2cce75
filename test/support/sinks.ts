// Sinks, stores and loggers for tests: real implementations of the contracts, that do as a test tells them.
import type { Logger } from '../../src/runtime.ts'
import type { Batch, LogName, LogStore, Sink } from '../../src/sink.ts'

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

export interface TestStore extends LogStore {
  /** Accepted lines by log. */
  readonly lines: Record<LogName, string[]>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into lines of every kind.
  events(log: LogName): any[]
  /** Whether lines are taken. */
  takes: boolean
  healthy: boolean
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
  return {
    name: 'memory',
    kind: 'store',
    durability: 'group',
    healthy: true,
    takes: true,
    opening: async () => undefined,
    persist: async () => undefined,
    closed: 0,
    lines,
    events: (log) => lines[log].map((line) => JSON.parse(line)),
    async open() {
      await this.opening()
      const head = (log: LogName) => ({ origin: `shop/one/${log}/00`, next: 0 })
      return {
        instance: 'one',
        heads: { traffic: head('traffic'), security: head('security'), control: head('control') },
      }
    },
    append(log, index, line) {
      if (!this.takes) return false
      if (index !== lines[log].length) throw new Error(`expected line ${lines[log].length}, got ${index}`)
      lines[log].push(line)
      return true
    },
    durable() {
      return this.persist()
    },
    async close() {
      this.closed++
      return { unwritten: 0 }
    },
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
