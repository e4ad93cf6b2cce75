// Works on many files at once, for each step of one alone would wait for a turn of a busy event loop.

/** The system's threads are Node's four by default: whatever else waits for one waits behind no more than these. */
const mostAtOnce = 16

/** Calls `act` for each, some at once, in their order. Rejects with the first fault, once none of those that were begun runs any more. */
export async function together<T>(all: Iterable<T>, act: (one: T) => Promise<void>): Promise<void> {
  const list = [...all]
  for (let i = 0; i < list.length; i += mostAtOnce) {
    const results = await Promise.allSettled(list.slice(i, i + mostAtOnce).map(act))
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }
}
