// The logs of one instance, open for writing.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { safeName } from '../runtime.ts'
import { type LogName, type LogStore, logNames, type OpenedStore, type StoreHooks, type StoreNotice } from '../sink.ts'

import { StoreFeed } from './feed.ts'
import { claimInstance, type Instance } from './instance.ts'
import { instanceKey, publishVkey } from './key.ts'
import { recoverLog } from './recovery.ts'
import { Retention } from './retention.ts'
import { orMissing } from './segments.ts'
import { LogWriter, type WriterOptions } from './writer.ts'

export interface StoreOptions extends WriterOptions {
  readonly dir: string
  readonly instance?: string | undefined
  /** Budget of the lines of the instance. */
  readonly maxBytes: number
}

// Segments are what the budget is kept by. Where it is small they must be smaller, or the three that are being written,
// which are never deleted, would exceed it.
const segmentsPerBudget = 8

/** How long logs that were opened in vain may take to close. */
const abandonMs = 1000

type StoreContext = Parameters<LogStore['open']>[0]

export class Store {
  /** Whether a call to the system had not come back when the logs were closed. Written by close. */
  private stuck = false

  private constructor(
    readonly opened: OpenedStore,
    readonly writers: Readonly<Record<LogName, LogWriter>>,
    readonly source: StoreFeed,
    private readonly instance: Instance,
    private readonly retention: Retention,
  ) {}

  static async open(options: StoreOptions, context: StoreContext, hooks: StoreHooks): Promise<Store> {
    await mkdir(options.dir, { recursive: true, mode: 0o750 })
    const instance = await claimInstance(options.dir, options.instance)
    try {
      return await Store.openInstance(instance, options, context, hooks)
    } catch (error) {
      await instance.release()
      throw error
    }
  }

  private static async openInstance(
    instance: Instance,
    options: StoreOptions,
    context: StoreContext,
    { notify, grown }: StoreHooks,
  ): Promise<Store> {
    const { clock, logger } = context
    const name = `${safeName(context.service)}/${instance.name}`
    const signer = await instanceKey(instance.dir, name)
    const oldVkey = await orMissing(readFile(join(instance.dir, 'vkey'), 'utf8'), undefined)
    const segmentBytes = Math.min(options.segment.maxBytes, Math.ceil(options.maxBytes / segmentsPerBudget))
    // One is kept free for what is written while a deletion waits for its record.
    const retention = new Retention(options.maxBytes - segmentBytes, clock, logger)
    const limits = { ...options, segment: { ...options.segment, maxBytes: segmentBytes } }
    const tell = (notice: StoreNotice) => {
      notify(notice)
      if (notice.event === 'audit.rotated') retention.check()
    }
    const writers: Partial<Record<LogName, LogWriter>> = {}
    const open = async (log: LogName): Promise<LogWriter> => {
      const recovered = await recoverLog(join(instance.dir, log), {
        signer,
        prefix: `${name}/${log}/`,
        mode: options.mode,
        now: clock.now(),
        oldVkey,
      })
      const writer = new LogWriter(log, recovered, limits, { clock, logger, notify: tell, grown })
      writers[log] = writer
      if (recovered.facts !== undefined) notify({ event: 'audit.recovered', log, facts: recovered.facts })
      return writer
    }
    try {
      const [traffic, security, control] = [await open('traffic'), await open('security'), await open('control')]
      // Last, so that a folder with a verifier key has all its logs.
      await publishVkey(instance.dir, signer, options.mode)
      const head = ({ origin, nextIndex: next }: LogWriter) => ({ origin, next })
      const heads = { traffic: head(traffic), security: head(security), control: head(control) }
      const opened = { instance: instance.name, vkey: signer.vkey, heads }
      const logs = { traffic, security, control }
      const feed = new StoreFeed(instance.dir, options.mode, logs, clock, logger)
      retention.start([traffic, security, control])
      return new Store(opened, logs, feed, instance, retention)
    } catch (error) {
      // Opening is tried again and again: each time would else leave files open.
      await Promise.all(Object.values(writers).map((writer) => writer.close(abandonMs)))
      throw error
    }
  }

  get healthy(): boolean {
    return logNames.every((log) => this.writers[log].healthy)
  }

  async close(deadlineMs: number): Promise<{ readonly unwritten: number }> {
    // First, so that nothing is deleted whose record would come behind the last line.
    const stopped = this.retention.stop()
    const results = await Promise.all(logNames.map((log) => this.writers[log].close(deadlineMs)))
    await stopped
    this.stuck = results.some((one) => one.stuck)
    return { unwritten: results.reduce((sum, one) => sum + one.unwritten, 0) }
  }

  /** Ends the feed, and gives the instance free. */
  async release(): Promise<void> {
    await this.source.close()
    // While a call hangs in the system it may still write: the lock then stays until the process ends, and is dead after.
    if (!this.stuck) await this.instance.release()
  }
}
