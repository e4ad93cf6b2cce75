// What the writer of a log is told, and what it tells.
import type { Clock } from '../clock.ts'
import type { Logger } from '../runtime.ts'
import type { LogName, StoreNotice } from '../sink.ts'
import type { Reserve } from './reserve.ts'

export interface WriterOptions {
  readonly durability: 'none' | 'interval' | 'group' | 'remote'
  readonly mode: number
  readonly segment: { readonly maxBytes: number; readonly maxAgeMs: number }
  readonly checkpoint: { readonly intervalMs: number; readonly lines: number }
}

export interface WriterContext {
  readonly clock: Clock
  /** The time of the store, see steadyTime: what is written is dated by it. */
  readonly now: () => number
  readonly logger: Logger
  readonly reserve: Reserve
  readonly notify: (notice: StoreNotice) => void
  /** More lines are durable, or a checkpoint is published. */
  readonly grown: (log: LogName) => void
  /** A job has failed, and why; undefined once what failed last is done. */
  readonly wrote: (log: LogName, fault: string | undefined) => void
  /** The disk has not taken a checkpoint, and why; undefined when it has. */
  readonly published: (log: LogName, fault: string | undefined) => void
}
