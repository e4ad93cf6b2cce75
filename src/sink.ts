// The contracts of where lines go: a sink takes batches, a log store is the log itself.
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'
import type { Logger } from './runtime.ts'

/** The three logs of each writer, apart because they are kept for different times. */
export const logNames = ['traffic', 'security', 'control'] as const
export type LogName = (typeof logNames)[number]

/** Longest line of a log, in bytes: an entry of C2SP tlog-tiles counts its size in 16 bits. */
export const maxLineBytes = 65_535

/** Consecutive lines of one log. */
export interface Batch {
  /** The log they belong to: `<service>/<instance>/<log>/<random id>`. */
  readonly origin: string
  /**
   * Index of the first and of the last line. With the origin they tell a repeated delivery from a new one, but only until
   * the process crashes: a line may come here before it is on disk, and after a crash that took it from the log its index is
   * given to another line. Origin, index and the line's `audit.boot_id` together identify a line for good.
   */
  readonly first: number
  readonly last: number
  /** Canonical JSON, without line ends. */
  readonly lines: readonly string[]
  /** Size of the lines as UTF-8, a line end for each included. */
  readonly bytes: number
}

export interface SinkContext {
  readonly service: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/** How a sink is fed. */
export interface Feed {
  /** Most lines of a batch. Default 500. */
  readonly lines: number
  /** Most bytes of a batch, unless one line alone is longer. Default 1 MiB. */
  readonly bytes: number
  /** How long a line waits for others at most, in ms. Default 1,000. */
  readonly intervalMs: number
  /** How long a write may take, in ms. Default 10,000. */
  readonly timeoutMs: number
  /** How much waits in memory, in bytes of lines; what does not fit becomes a gap of this sink. Default 32 MiB. */
  readonly queueBytes: number
}

/**
 * A place that lines are delivered to, besides the log itself.
 *
 * Each sink has a queue of its own and never holds up another. `write` is called with one batch at a time, in order within
 * an origin. It must resolve only once the batch is accepted; when it rejects, or does not settle within the sink's
 * timeout (then `signal` aborts), the same object comes again after a growing pause. A rejection whose `retryAfterMs` is a
 * number asks for at least that pause; one whose `permanent` is true says that the batch will never be accepted: it is
 * dropped and counted in one `audit.gap`, and the next batch comes after such a pause. Of lines that themselves only tell of
 * gaps and sinks no gap is told: `close` counts them as undelivered.
 */
export interface Sink {
  readonly name: string
  /** How it wants to be fed; what it leaves out has the defaults that {@link Feed} names. */
  readonly feed?: Partial<Feed>
  /**
   * Called once; the first write waits for it. A rejection, or none within the sink's timeout, makes `ready()` reject; writing
   * is tried all the same.
   */
  open?(context: SinkContext): Promise<void>
  write(batch: Batch, signal: AbortSignal): Promise<void>
  /** Called once, after the last write. */
  close?(): Promise<void>
}

/** Where a log stands when its writer has opened it. */
export interface LogHead {
  readonly origin: string
  /** The index that the next line gets. */
  readonly next: number
}

/** What a store tells of its own doings, to be recorded as events of that log. */
export interface StoreNotice {
  readonly event:
    | 'audit.recovered'
    | 'audit.rotated'
    | 'audit.pruned'
    | 'audit.key_rotated'
    | 'audit.hold_changed'
    | 'audit.sink_changed'
  readonly log: LogName
  /** Fields under `log` in the event. */
  readonly facts: Readonly<Record<string, string | number | readonly string[]>>
}

export interface OpenedStore {
  /** The writer's name: `<host>.0` or the one that was given. */
  readonly instance: string
  /** The verifier key to keep elsewhere: of who signs the checkpoints, or certifies who does. None without checkpoints. */
  readonly vkey?: string
  readonly heads: Readonly<Record<LogName, LogHead>>
}

/**
 * The log: it owns origins and positions, and makes lines durable and provable. A trail has at most one.
 *
 * `append` takes lines in index order without waiting; a line that it took is kept through write errors until it is on disk,
 * and written again and again. When too much waits it returns false and has not taken the line: the caller counts the loss.
 * `durable` resolves once every line of that log up to `index` is fsynced, and rejects if the store closes before.
 * `close` writes what waits, publishes the last checkpoints and gives the instance free; lines that could not be written by
 * `deadlineMs` are returned as a count.
 */
export interface LogStore {
  readonly name: string
  readonly kind: 'store'
  /**
   * `none`: never fsynced but for checkpoints. `interval`: within 100 ms. `group`: responses wait for it. `remote`: they wait for the
   * sink named `remote` too.
   */
  readonly durability: 'none' | 'interval' | 'group' | 'remote'
  readonly remote?: string | undefined
  /** False from a failed write until one succeeds, and before the store is open. A key that does not sign leaves it true. */
  readonly healthy: boolean
  open(context: SinkContext, notify: (notice: StoreNotice) => void): Promise<OpenedStore>
  append(log: LogName, index: number, line: string): boolean
  durable(log: LogName, index: number): Promise<void>
  /** Signs by a new key from now on. Resolves with the verifier keys once the old one has signed that in every log. */
  rotateKey?(): Promise<{ readonly from: string; readonly to: string }>
  /**
   * Writes and fsyncs what waits before it returns, for the end of the process. Never throws; returns how many lines could not be
   * written.
   */
  flushSync?(): number
  close(deadlineMs: number): Promise<{ readonly unwritten: number }>
}

export type AnySink = Sink | LogStore

export const isStore = (sink: AnySink): sink is LogStore => 'kind' in sink && sink.kind === 'store'
