// A user's own source: each value of an async iterable is a whole set.
import type { Source, SourceReport } from '../discovery.ts'
import type { IterableOptions } from './options.ts'
import { detailOf, readSet } from './set.ts'

/** Asks for the next value when the last one was taken over. One that ends or throws is not begun anew. */
export function iterableSource(options: IterableOptions): Source {
  const stop = new AbortController()
  let iterator: AsyncIterator<unknown> | undefined
  const run = async (report: (found: SourceReport) => void): Promise<void> => {
    const tell = (found: SourceReport): void => {
      if (!stop.signal.aborted) report(found)
    }
    try {
      // Nothing is reported within the call of `start`, whatever the user's code does.
      await undefined
      if (stop.signal.aborted) return
      const sets = await (typeof options.from === 'function' ? options.from(stop.signal) : options.from)
      iterator = sets[Symbol.asyncIterator]()
      if (stop.signal.aborted) return leave(iterator)
      for (;;) {
        const { done, value } = await iterator.next()
        if (stop.signal.aborted) return
        if (done === true) break
        tell(readSet(value, 'a set'))
      }
      tell({ failure: { cause: 'ended' } })
    } catch (error) {
      tell({ failure: { cause: 'threw', detail: detailOf(error) } })
    }
  }
  return {
    start: (report) => void run(report),
    close() {
      stop.abort()
      if (iterator !== undefined) leave(iterator)
    },
  }
}

// A generator that waits ends once what it waits for has come: whoever waits for ever should heed the signal.
function leave(iterator: AsyncIterator<unknown>): void {
  const ended = async (): Promise<unknown> => iterator.return?.()
  ended().catch(() => undefined)
}
