// The contracts of where lines go: a sink takes batches, a log store is the log itself.
import type { Clock } from './clock.ts'
import type { Random } from './random.ts'
import type { Logger } from './runtime.ts'

/** The three logs of each writer, apart because they are kept for different times. */
export const logNames = ['traffic', 'security', 'control'] as const
export type LogName = (typeof logNames)[number]

/** Longest line of a log, in bytes: an entry of C2SP tlog-tiles counts its size in 16 bits. */
export const maxLineBytes = 65_535

/** Lines of one log, in order. */
export interface Batch {
  /** The log they belong to: `<service>/<instance>/<log>/<random id>`. */
  readonly origin: string
  /**
   * Index of the first and of the last line that the batch stands for. With the origin they tell a repeated delivery from a
   * new one, for good: what a sink gets is on disk, where there is a file sink, and no crash takes it back.
   */
  readonly first: number
  readonly last: number
  /** Canonical JSON, without line ends. All from `first` to `last`, but for those that the sink's filter keeps from it. */
  readonly lines: readonly string[]
  /** Size of the lines as UTF-8, a line end for each included. */
  readonly bytes: number
}

/** What a log has signed of itself. */
export interface SignedCheckpoint {
  readonly origin: string
  /** How many lines it covers. */
  readonly size: number
  /** A signed note that is a C2SP tlog-checkpoint. */
  readonly note: string
  /** The verifier key of the signature. */
  readonly vkey: string
  /**
   * Roots of the complete subtrees of the tree at this size, in base64, the largest first (the decomposition of RFC 6962 section
   * 2.1): with them whoever begins here can check what follows.
   */
  readonly edge: readonly string[]
  /**
   * Checkpoints by which the keys before handed over to this one, the oldest first: each is signed by the key before, and covers a
   * line that names the next.
   */
  readonly handovers?: readonly string[]
  /** Those of `handovers` that this process has published, whole: only the newest that waits is handed over, and they may have been passed over. */
  readonly handed?: readonly SignedCheckpoint[]
  /** Where the last line names the next key: `edge` without that line, by which it alone can be proved to be in the tree. */
  readonly edgeBefore?: readonly string[]
}

/** Lines that a sink will not get, because they are not there any more. */
export interface MissingLines {
  readonly origin: string
  readonly first: number
  readonly last: number
  /** Their leaf hashes (RFC 6962), 32 bytes each, where the log still has them. */
  readonly leaves: readonly Uint8Array[]
}

/** An event as it stands in a line. */
export type LineEvent = { readonly [key: string]: unknown }

/** Which lines a sink gets: all that fit every member that is given. */
export interface SinkFilter {
  readonly logs?: readonly LogName[]
  /** Names of events, or beginnings of them with a `*` behind: `config.*`. */
  readonly events?: readonly string[]
  /** The least severity number of OpenTelemetry: 13 leaves out what is only told (9). */
  readonly severity?: number
}

export interface SinkContext {
  readonly service: string
  /** The writer's name. */
  readonly instance: string
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
  /** Where a sink begins that has no cursor yet: with the lines from now on, or with the oldest that are there. Default `now`. */
  readonly from: 'now' | 'oldest'
}

/**
 * A place that lines are delivered to, besides the log itself.
 *
 * Each sink has a cursor of its own and never holds up another. `write` is called with one batch at a time, in order within
 * an origin. It must resolve only once the batch is accepted; when it rejects, or does not settle within the sink's
 * timeout (then `signal` aborts), the same lines come again after a growing pause. Of what it rejects with
 * - a number `retryAfterMs` asks for at least that pause;
 * - a true `permanent` says that these lines, as they are, will never be accepted: the batch is then cut in halves, and again, until
 *   single lines are left, which go to the dead-letter file and into an `audit.gap`;
 * - a list `rejected` of indexes says that just these lines will never be accepted, and that all others were;
 * - a number `rejectedCount` says that so many of these lines will never be accepted, that all others were, and that nobody knows which;
 * - a number `resumeAt` asks for the lines of this log from that index on, as far as they are still there; who has a `missing` is
 *   told of the others.
 */
export interface Sink {
  readonly name: string
  /** How it wants to be fed; what it leaves out has the defaults that {@link Feed} names. */
  readonly feed?: Partial<Feed>
  /** Which lines it gets; a function is asked for each, parsed. Default all. What is kept from it counts as delivered. */
  readonly filter?: SinkFilter | ((event: LineEvent) => boolean)
  /**
   * Called once; the first write waits for it. A rejection, or none within the sink's timeout, makes `ready()` reject; writing
   * is tried all the same.
   */
  open?(context: SinkContext): Promise<void>
  write(batch: Batch, signal: AbortSignal): Promise<void>
  /**
   * Gets checkpoints, each after the lines that it covers; only the newest of those that wait. Rejections count as those of
   * `write`, save that a permanent one drops the checkpoint.
   */
  checkpoint?(checkpoint: SignedCheckpoint, signal: AbortSignal): Promise<void>
  /** Is told of lines that it will not get, before those that follow them. Rejections count as those of a checkpoint. */
  missing?(missing: MissingLines, signal: AbortSignal): Promise<void>
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

/** Who acts on a log, and what for, in the words of the host: 256 and 1,024 characters at most. */
export interface ActNote {
  readonly by?: string | undefined
  readonly reason?: string | undefined
}

export interface OpenedStore {
  /** The writer's name: `<host>.0` or the one that was given. */
  readonly instance: string
  /** The verifier key to keep elsewhere: of who signs the checkpoints, or certifies who does. None without checkpoints. */
  readonly vkey?: string
  readonly heads: Readonly<Record<LogName, LogHead>>
}

/** How a store tells what happens to it. Neither may throw. */
export interface StoreHooks {
  /** Called in the turn in which the fact is known; the event that it becomes is appended before this returns. */
  notify(notice: StoreNotice): void
  /** More lines of this log can be read, or a newer checkpoint. */
  grown(log: LogName): void
}

/** Lines `[first, first + lines.length)`, or the fact that `[first, through)` are gone for good, and `why` where the system said it. */
export type Stretch =
  | { readonly lines: readonly string[]; readonly bytes: number }
  | { readonly through: number; readonly reason: 'retention' | 'lost' | 'backlog'; readonly why?: string }

/** How far one sink has got in each log of a store. */
export interface Cursor {
  /** The index of the line that comes next. */
  next(log: LogName): number
  /** Written to disk within a second, and before lines are deleted that only this cursor has passed. */
  advance(log: LogName, next: number): void
}

/** Lines of a store on their way to the sinks: what stands here is durable. */
export interface LineFeed {
  /** Whether cursors outlast the process: what cannot be told any more at its end is found, and told, by the next one. */
  readonly lasting: boolean
  /** The origin of a log, and the indexes that can be read now: from `first` up to, but not including, `end`. */
  bounds(log: LogName): { readonly origin: string; readonly first: number; readonly end: number }
  /** The lines from an index on, at least one; undefined if there is none (yet), and rejects while they cannot be read. `reader` keeps its place for the next call. */
  read(log: LogName, from: number, most: { lines: number; bytes: number }, reader: object): Promise<Stretch | undefined>
  /** Leaf hashes of lines, also of those that are gone; fewer where it does not have them. */
  leaves(log: LogName, first: number, last: number): Promise<readonly Uint8Array[]>
  /** The newest checkpoint, where one was signed. */
  checkpoint(log: LogName): SignedCheckpoint | undefined
  /** The cursor of the sink of this name: where it was left, or where `from` says. */
  cursor(sink: string, from: Feed['from']): Promise<Cursor>
  /** Keeps a line that a sink will never accept. Resolves to whether it is kept. */
  bury(sink: string, line: string, why: string): Promise<boolean>
}

/**
 * The log: it owns origins and positions, and makes lines durable and provable. A trail has at most one.
 *
 * `append` takes lines in index order without waiting; a line that it took is kept through write errors until it is on disk,
 * and written again and again. When too much waits it returns false and has not taken the line: the caller counts the loss.
 * `durable` resolves once every line of that log up to `index` is fsynced, and rejects if the store closes before.
 * `close` writes what waits, publishes the last checkpoints and gives the instance free; lines that could not be written by
 * `deadlineMs` (which may be `Infinity`) are returned as a count. Its source can be read until `release` is called, which comes after `close`.
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
  /** Where sinks are fed from. Must be read only once the store is open. */
  readonly source: LineFeed
  open(context: Omit<SinkContext, 'instance'>, hooks: StoreHooks): Promise<OpenedStore>
  append(log: LogName, index: number, line: string): boolean
  /** Why lines of this log cannot be written: from a failed write until one succeeds, and before it is open. A checkpoint that cannot be signed or kept is no reason. */
  fault(log: LogName): string | undefined
  durable(log: LogName, index: number): Promise<void>
  /**
   * Signs by a new key from now on, and says in each log who wanted it and what for. Resolves with the verifier keys once the old
   * one has signed that in every log.
   */
  rotateKey?(note?: ActNote): Promise<{ readonly from: string; readonly to: string }>
  /**
   * Writes and fsyncs what waits before it returns, for the end of the process. Never throws; returns how many lines could not be
   * written.
   */
  flushSync?(): number
  close(deadlineMs: number): Promise<{ readonly unwritten: number }>
  release(): Promise<void>
}

export type AnySink = Sink | LogStore

export const isStore = (sink: AnySink): sink is LogStore => 'kind' in sink && sink.kind === 'store'
