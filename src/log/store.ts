// The logs of one instance, open for writing.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, timeLeft, within } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { safeName } from '../runtime.ts'
import {
  type ActNote,
  type LogName,
  type LogStore,
  logNames,
  type OpenedStore,
  type StoreHooks,
  type StoreNotice,
} from '../sink.ts'
import { readAct } from './act.ts'
import { Compressor } from './compress.ts'
import { StoreFeed } from './feed.ts'
import { readHandOvers } from './hand-over.ts'
import { HoldWatch } from './hold-watch.ts'
import { claimInstance, type Instance } from './instance.ts'
import { KeptHolds } from './kept-holds.ts'
import { readVkey } from './key.ts'
import { KeyChange } from './key-change.ts'
import { type HandOver, Keyring } from './keyring.ts'
import { LogHealth } from './log-health.ts'
import type { FileSinkConfig } from './options.ts'
import { keepPolicy } from './policy-file.ts'
import { recoverLog } from './recovery.ts'
import { Reserve } from './reserve.ts'
import { Retention } from './retention.ts'
import { Signing } from './signing.ts'
import { steadyTime } from './steady-time.ts'
import { Watch } from './watch.ts'
import { LogWriter } from './writer.ts'

export interface StoreOptions extends FileSinkConfig {
  /** Refuses what is not whole, where it would be set aside or begun anew. */
  readonly strict?: boolean
}

// Segments are what a budget is kept by. Where it is small they must be smaller, or those that are being written, which are never
// deleted, would exceed it: three share the budget of all, and one is kept free for what is written while a deletion waits.
const segmentsPerBudget = 8
const segmentsPerLog = 4

/** How long logs that were opened in vain may take to close. */
const abandonMs = 1000

type StoreContext = Parameters<LogStore['open']>[0]

/** How long calls to the system may take that are under way when the time to close is over. */
const lastCallsMs = 1000

interface Parts {
  readonly clock: Clock
  readonly retention: Retention
  readonly holds: HoldWatch
  readonly reserve: Reserve
  readonly keys: KeyChange
  readonly watch: Watch
  readonly compressor: Compressor | undefined
  /** Gives the instance free. */
  readonly release: () => Promise<void>
}

export class Store {
  /** Whether a call to the system had not come back when the logs were closed. Written by close. */
  private stuck = false

  private constructor(
    readonly opened: OpenedStore,
    readonly writers: Readonly<Record<LogName, LogWriter>>,
    readonly source: StoreFeed,
    private readonly parts: Parts,
  ) {}

  static async open(options: StoreOptions, context: StoreContext, hooks: StoreHooks): Promise<Store> {
    await mkdir(options.dir, { recursive: true, mode: 0o750 })
    const instance = await claimInstance(options.dir, options.instance)
    try {
      return await Store.openInstance(instance, options, context, hooks)
    } catch (error) {
      await instance.release().catch(() => undefined)
      throw error
    }
  }

  private static async openInstance(
    instance: Instance,
    options: StoreOptions,
    { clock, logger, service }: StoreContext,
    { notify, grown }: StoreHooks,
  ): Promise<Store> {
    const { dir } = instance
    const { mode, maxBytes, retention: policy, segment } = options
    const name = `${safeName(service)}/${instance.name}`
    const now = steadyTime(clock)
    const writers: LogWriter[] = []
    const health = new LogHealth({ name, writers, clock, logger, notify })
    const signing = (signer: ConstructorParameters<typeof Signing>[0]) => new Signing(signer, clock, health.signed)
    const oldVkey = await readVkey(dir)
    const keys = await Keyring.open({ dir, name, key: options.key, mode, signing })
    const segmentBytes = Math.min(segment.maxBytes, Math.ceil(maxBytes / segmentsPerBudget))
    const holds = new HoldWatch({
      dir: options.dir,
      kept: new KeptHolds(dir, mode, logger),
      logger,
      control: () => writers.find(({ log }) => log === 'control')!,
    })
    let feed: StoreFeed | undefined
    const retention = new Retention({
      policy,
      maxBytes: maxBytes - segmentBytes,
      clock,
      now,
      logger,
      held: () => holds.held(),
      // Before the feed is there no sink has begun to read.
      delivered: async (log) => (await feed?.delivered(log)) ?? Infinity,
      // A cursor that a crash took back would ask for lines that are gone.
      beforeDelete: async () => feed?.cursors.persist(),
    })
    const compressor = segment.compress === 'gzip' ? new Compressor(writers, mode, logger) : undefined
    const reserve = new Reserve(join(dir, 'reserve'), options.reserveBytes, mode, clock, logger)
    const tell = (notice: StoreNotice) => {
      notify(notice)
      if (notice.event !== 'audit.rotated') return
      retention.check()
      compressor?.check()
    }
    const due = new Map<LogWriter, readonly HandOver[]>()
    const aside: object[] = []
    const open = async (log: LogName): Promise<LogWriter> => {
      const recovered = await recoverLog(join(dir, log), {
        keys,
        prefix: `${name}/${log}/`,
        mode,
        now: now(),
        oldVkey,
        strict: options.strict ?? false,
      })
      const own = policy[log].maxBytes ?? Infinity
      const limits = { ...segment, maxBytes: Math.min(segmentBytes, Math.ceil(own / segmentsPerLog)) }
      const writer = new LogWriter(
        log,
        { ...recovered, handOvers: await readHandOvers(recovered.dir) },
        { ...options, segment: limits },
        { clock, now, logger, reserve, notify: tell, grown, wrote: health.wrote, published: health.published },
      )
      writers.push(writer)
      due.set(writer, recovered.standing.handOvers)
      if (recovered.facts?.aside !== undefined) aside.push({ log, ...recovered.facts })
      if (recovered.facts !== undefined) notify({ event: 'audit.recovered', log, facts: recovered.facts })
      return writer
    }
    try {
      await reserve.open()
      await keepPolicy(dir, options)
      const [traffic, security, control] = [await open('traffic'), await open('security'), await open('control')]
      if (aside.length > 0)
        logger.warn(
          { instance: name, logs: aside },
          'logs that cannot be gone on with are set aside, and new ones begin',
        )
      const change = new KeyChange(keys, writers, clock, logger)
      // Last, so that a folder with a verifier key has all its logs.
      await change.start(due)
      const watch = new Watch({
        writers,
        clock,
        logger,
        eachMinute: async () => {
          retention.check()
          compressor?.check()
          await keys.republish()
          await holds.held()
        },
      })
      watch.start()
      retention.start(writers)
      compressor?.check()
      const head = ({ origin, nextIndex: next }: LogWriter) => ({ origin, next })
      const heads = { traffic: head(traffic), security: head(security), control: head(control) }
      const logs = { traffic, security, control }
      feed = new StoreFeed(dir, mode, logs, clock, logger)
      const release = () =>
        instance.release().catch((error: unknown) => {
          logger.error(
            { error: reasonOf(error) },
            'the lock of the log cannot be removed: it stays until the process ends',
          )
        })
      const parts = { clock, retention, holds, reserve, keys: change, watch, compressor, release }
      return new Store({ instance: instance.name, vkey: keys.first.vkey, heads }, logs, feed, parts)
    } catch (error) {
      reserve.stop()
      // Opening is tried again and again: each time would else leave files open.
      await Promise.all(writers.map((writer) => writer.close(abandonMs)))
      throw error
    }
  }

  async rotateKey(note: ActNote = {}): Promise<{ readonly from: string; readonly to: string }> {
    return this.parts.keys.rotate(readAct(note, 'rotateKey'))
  }

  /** Resolves once nothing is left to be deleted, or nothing can be now. */
  prune(): Promise<void> {
    return this.parts.retention.settle()
  }

  flushSync(): number {
    return logNames.reduce((sum, log) => sum + this.writers[log].flushSync(), 0)
  }

  async close(deadlineMs: number): Promise<{ readonly unwritten: number }> {
    const { clock, retention, holds, reserve, keys, watch, compressor } = this.parts
    const left = timeLeft(clock, deadlineMs)
    reserve.stop()
    keys.stop()
    // First, so that nothing is deleted whose record would come behind the last line.
    const stopped = Promise.all([retention.stop(), compressor?.stop(), watch.stop()]).then(() => false)
    const results = await Promise.all(logNames.map((log) => this.writers[log].close(deadlineMs)))
    const hangs = await within(clock, stopped, Math.max(left(), lastCallsMs), true)
    this.stuck = hangs || results.some((one) => one.stuck)
    // What hangs in the system would hang again.
    if (!this.stuck) await within(clock, holds.close(), Math.max(left(), lastCallsMs), undefined)
    return { unwritten: results.reduce((sum, one) => sum + one.unwritten, 0) }
  }

  /** Ends the feed, and gives the instance free. */
  async release(): Promise<void> {
    try {
      await within(this.parts.clock, this.source.close(), lastCallsMs, undefined)
    } finally {
      // While a call hangs in the system it may still write: the lock then stays until the process ends, and is dead after.
      if (!this.stuck) await this.parts.release()
    }
  }
}
