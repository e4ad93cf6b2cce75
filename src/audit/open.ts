// Opening: brings up the log store and the sinks, and goes on without those that fail.
import { BalancerError, reasonOf } from '../errors.ts'
import type { LogStore, OpenedStore, SinkContext, StoreNotice } from '../sink.ts'
import type { Deliveries } from './deliveries.ts'

/** How long after a failed opening the log store is tried again: a volume may be mounted late. */
const reopenMs = 5000

export interface OpenHandlers {
  /**
   * The store is open, or cannot be, or there is none: then lines wait in memory. Called a second time when a store that had
   * failed could be opened.
   */
  opened(opened: OpenedStore | undefined): void
  notice(notice: StoreNotice): void
  /** Ends the attempts to open a store that had failed. */
  closing(): boolean
  /** Whether nothing is taken in any more. */
  closed(): boolean
}

/** Rejects with the first fault once all are opened or have failed; every fault is told to the logger. */
export async function openSinks(
  store: LogStore | undefined,
  deliveries: Deliveries,
  context: Omit<SinkContext, 'instance'>,
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
  const openStore = async (store: LogStore): Promise<void> => {
    // What recovery tells belongs behind `audit.opened`, in a log that is open.
    const early: StoreNotice[] = []
    let notify = (notice: StoreNotice): void => void early.push(notice)
    const opened = await store.open(context, { notify: (notice) => notify(notice), grown: deliveries.grown })
    // Too late: the trail is closed, and the instance must not stay held.
    if (handlers.closed()) {
      try {
        await store.close(0)
      } finally {
        await store.release()
      }
      return
    }
    handlers.opened(opened)
    notify = handlers.notice
    for (const notice of early) handlers.notice(notice)
  }
  const retry = (store: LogStore): void => {
    context.clock.after(reopenMs, () => {
      if (handlers.closing()) return
      openStore(store).then(
        () => context.logger.warn({ sink: store.name }, 'the audit log is open now'),
        () => retry(store),
      )
    })
  }
  if (store === undefined) handlers.opened(undefined)
  else
    await openStore(store).catch((error: unknown) => {
      failed(store.name, error)
      handlers.opened(undefined)
      retry(store)
    })
  await deliveries.opened(failed)
  if (faults.length > 0) throw faults[0]
}
