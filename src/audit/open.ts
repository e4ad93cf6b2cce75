// Opening: brings up the log store and the sinks, and goes on without those that fail.
import { BalancerError, reasonOf } from '../errors.ts'
import { randomHex } from '../random.ts'
import { host, pid } from '../runtime.ts'
import type { LogHead, LogName, LogStore, SinkContext, StoreNotice } from '../sink.ts'
import type { Delivery } from './delivery.ts'

export interface Opened {
  readonly instance: string
  readonly heads: Readonly<Record<LogName, LogHead>>
  /** Whether lines go to the log store. */
  readonly store: boolean
}

/** How long after a failed opening the log store is tried again: a volume may be mounted late. */
const reopenMs = 5000

/** Origins that live only as long as this process: for trails without a log store, or whose store cannot be opened. */
export function ephemeralHeads(service: string): Opened {
  const instance = `${host()}.${pid}`
  const head = (log: LogName): LogHead => ({ origin: `${service}/${instance}/${log}/${randomHex(8)}`, next: 0 })
  return {
    instance,
    heads: { traffic: head('traffic'), security: head('security'), control: head('control') },
    store: false,
  }
}

export interface OpenHandlers {
  /** Called with the log's heads, or with ephemeral ones; a second time when a store that had failed could be opened. */
  opened(opened: Opened): void
  notice(notice: StoreNotice): void
  /** Ends the attempts to open a store that had failed. */
  closing(): boolean
  /** Whether nothing is taken in any more. */
  closed(): boolean
}

/** Rejects with the first fault once all are opened or have failed; every fault is told to the logger. */
export async function openSinks(
  store: LogStore | undefined,
  deliveries: readonly Delivery[],
  context: SinkContext,
  handlers: OpenHandlers,
): Promise<void> {
  const faults: unknown[] = []
  const failed = (name: string, error: unknown): void => {
    context.logger.error({ sink: name, error: reasonOf(error) }, 'an audit sink cannot be opened')
    faults.push(
      error instanceof BalancerError
        ? error
        : new BalancerError('sink-unavailable', `${name}: ${reasonOf(error)}`, { cause: error }),
    )
  }
  const openStore = async (): Promise<boolean> => {
    if (store === undefined) return false
    // What recovery tells belongs behind `audit.opened`, in a log that is open.
    const early: StoreNotice[] = []
    let notify = (notice: StoreNotice): void => void early.push(notice)
    const { instance, heads } = await store.open(context, (notice) => notify(notice))
    // Too late: the trail is closed, and the instance must not stay held.
    if (handlers.closed()) {
      await store.close(0)
      return true
    }
    handlers.opened({ instance, heads, store: true })
    notify = handlers.notice
    for (const notice of early) handlers.notice(notice)
    return true
  }
  const retry = (): void => {
    context.clock.after(reopenMs, () => {
      if (handlers.closing()) return
      openStore().then(() => context.logger.warn({ sink: store?.name }, 'the audit log is open now'), retry)
    })
  }
  const all = deliveries.map((delivery) =>
    delivery.open(context).catch((error: unknown) => failed(delivery.sink.name, error)),
  )
  try {
    if (!(await openStore())) handlers.opened(ephemeralHeads(context.service))
  } catch (error) {
    failed(store!.name, error)
    handlers.opened(ephemeralHeads(context.service))
    retry()
  }
  await Promise.all(all)
  if (faults.length > 0) throw faults[0]
}
