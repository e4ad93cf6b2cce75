// Applies the retention policy of writers that are not running: each deletion is recorded in their logs, and signed.
import { basename, dirname } from 'node:path'
import { z } from 'zod'
import { type Clock, systemClock } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import type { EventFields } from '../events.ts'
import { actFacts, actor, purpose } from '../log/act.ts'
import { holdsNone, type InstanceFolder, lookForInstances } from '../log/folder.ts'
import { readKey, readVkey } from '../log/key.ts'
import { fileSinkSchema } from '../log/options.ts'
import { readPolicy } from '../log/policy-file.ts'
import { Store } from '../log/store.ts'
import { parseOptions } from '../parse.ts'
import { systemRandom } from '../random.ts'
import { type Logger, stderrLogger } from '../runtime.ts'
import type { ActNote, LogName, StoreNotice } from '../sink.ts'
import { Envelope } from './envelope.ts'
import { auditSchema } from './options.ts'
import { Sealer } from './seal.ts'

/** How long its last checkpoints may take. */
const closeMs = 10_000

export interface PrunedRange {
  readonly log: LogName
  /** Indices of the first and the last line that are gone. */
  readonly first: number
  readonly last: number
  readonly bytes: number
}

export interface PruneReport {
  readonly instance: string
  readonly pruned: readonly PrunedRange[]
  /** Who writes there: a writer that runs prunes by itself. */
  readonly heldBy?: string
  /** Why nothing could be deleted. */
  readonly fault?: string
}

export interface PruneOptions {
  /** Who has it done: stands in each `audit.pruned`. */
  readonly by?: string | undefined
  /** What for: stands there too, as `message`. */
  readonly reason?: string | undefined
  /** Is told of faults. Default: JSON lines to stderr. */
  readonly logger?: Logger | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
}

const { logger, clock } = auditSchema.shape
const pruneSchema = z.strictObject({ by: actor.optional(), reason: purpose.optional(), logger, clock })

/**
 * Deletes what the policy of each writer below `dir` does not keep any more, as its `retention.json` tells it. Only for writers
 * whose name is free, and whose own key lies beside the log: the record of a deletion must be signed. Throws `log-invalid` if
 * `dir` holds no log, and `config-invalid` for an option that is none, and for a `by` or `reason` that is empty or too long.
 */
export async function pruneLog(dir: string, options: PruneOptions = {}): Promise<PruneReport[]> {
  const { by, reason, ...context } = parseOptions(pruneSchema, options, 'pruneLog')
  const note = { by, reason }
  const reports: PruneReport[] = []
  const { instances, unreadable } = await lookForInstances(dir)
  if (instances.length === 0 && unreadable.length === 0) throw holdsNone(dir)
  for (const { path, fact } of unreadable) reports.push({ instance: basename(path), pruned: [], fault: fact })
  for (const folder of instances) {
    const { dir, name } = folder
    try {
      const service = await ownService(dir, name)
      if (service === undefined)
        reports.push({
          instance: name,
          pruned: [],
          fault: `the key that signs for ${name} does not lie beside its log`,
        })
      else reports.push({ instance: name, pruned: await pruneInstance(folder, service, context, note) })
    } catch (error) {
      if (!(error instanceof Error && ('syscall' in error || error instanceof BalancerError))) throw error
      const held = error instanceof BalancerError && error.code === 'instance-held'
      reports.push({ instance: name, pruned: [], [held ? 'heldBy' : 'fault']: reasonOf(error) })
    }
  }
  return reports
}

async function pruneInstance(
  { dir, name }: InstanceFolder,
  service: string,
  { logger = stderrLogger, clock = systemClock }: PruneOptions,
  note: ActNote,
): Promise<PrunedRange[]> {
  const { segmentBytes, ...policy } = (await readPolicy(dir)) ?? { segmentBytes: undefined }
  // A name that is refused today may be there since before.
  const config = { ...fileSinkSchema.parse({ dir: dirname(dir), reserveBytes: 0 }), instance: name }
  const segment = { ...config.segment, maxBytes: segmentBytes ?? config.segment.maxBytes }
  const envelope = new Envelope(clock, service, undefined)
  envelope.instance(name)
  const pruned: PrunedRange[] = []
  let store: Store | undefined
  let sealer: Sealer | undefined
  // Before it is open nothing can be recorded; what recovery tells then, the writer's own next start would tell as well.
  const early: StoreNotice[] = []
  const record = (notice: StoreNotice): void => {
    if (store === undefined || sealer === undefined) return void early.push(notice)
    const { event, log, facts } = notice
    const fields = {
      log: { ...facts, ...(event === 'audit.pruned' ? actFacts(note) : {}) },
    } as EventFields<'audit.recovered'>
    const made = envelope.wrap(event as 'audit.recovered', fields)
    const head = sealer.head(log)
    if (!store.writers[log].append(head.next, sealer.line(head, made))) return
    sealer.place(head, made)
    if (event !== 'audit.pruned') return
    const { first, last, bytes } = facts as unknown as PrunedRange
    pruned.push({ log, first, last, bytes })
  }
  store = await Store.open(
    { ...config, ...policy, segment, strict: true },
    { service, clock, random: systemRandom, logger },
    { notify: record, grown: () => undefined },
  )
  try {
    sealer = new Sealer(store.opened.heads)
    for (const notice of early) record(notice)
    await store.prune()
  } finally {
    await store.close(closeMs)
    await store.release()
  }
  return pruned
}

/** The service that an instance belongs to; undefined if it is not signed by a key of its own. */
async function ownService(dir: string, name: string): Promise<string | undefined> {
  const vkey = (await readVkey(dir))?.trim()
  const service = vkey?.slice(0, vkey.indexOf('/'))
  const key = service === undefined ? undefined : await readKey(`${dir}/key`, `${service}/${name}`)
  return key?.vkey === vkey ? service : undefined
}
