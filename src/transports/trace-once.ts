// One trace per request: what instrumentation adds to a request of undici's, and we have said already, is said once.
import { channel } from 'node:diagnostics_channel'
import type { AttemptRequest } from '../transport.ts'

/** Where undici shows each request as it is made, so that instrumentation can add headers to it. */
const created = channel('undici:request:create')

/** Whether somebody looks at requests of undici, as instrumentation does. */
export const isWatched = ({ upgrade }: AttemptRequest): boolean => created.hasSubscribers && upgrade === undefined

interface Created {
  readonly request: { headers?: unknown }
}

/**
 * Hands a request to undici, as a part of the trace that it belongs to. What is added to it then, and stands among our headers
 * already, is sent once: as it was added where that continues the trace that we know of, and otherwise as we had it.
 */
export function dispatchTraced({ within, headers }: AttemptRequest, dispatch: () => void): void {
  if (!created.hasSubscribers) return dispatch()
  const last = (message: unknown): void => {
    const { request } = message as Created
    if (Array.isArray(request.headers)) sayOnce(request.headers, headers)
  }
  const act = (): void => {
    // Behind all others, for the time of the call: undici makes the request, and tells of it, before `dispatch` returns.
    created.subscribe(last)
    try {
      dispatch()
    } finally {
      created.unsubscribe(last)
    }
  }
  if (within === undefined) act()
  else within(act)
}

/** `all` are names and values in turn, as undici 7 keeps them: what it took over of ours, and behind that what was added. */
function sayOnce(all: unknown[], ours: readonly string[]): void {
  let border = 0
  for (let i = 0; i < ours.length; i += 2) if (all[border] === ours[i] && all[border + 1] === ours[i + 1]) border += 2
  if (border === all.length) return
  const own = all.slice(0, border)
  const added = all.slice(border)
  const before = traceIdIn(own)
  const after = traceIdIn(added)
  const addedCounts = before === undefined || after === undefined || before === after
  all.length = 0
  all.push(...(addedCounts ? [...without(own, added), ...added] : [...own, ...without(added, own)]))
}

/** Those whose name is not among the others. */
function without(list: readonly unknown[], others: readonly unknown[]): unknown[] {
  const names = new Set(others.filter((_, i) => i % 2 === 0).map((name) => String(name).toLowerCase()))
  return list.filter((_, i) => !names.has(String(list[i - (i % 2)]).toLowerCase()))
}

/** The second part of the first `traceparent`. */
function traceIdIn(list: readonly unknown[]): string | undefined {
  const at = list.findIndex((name, i) => i % 2 === 0 && String(name).toLowerCase() === 'traceparent')
  return at === -1 ? undefined : String(list[at + 1]).split('-', 2)[1]
}
