// Traces of picks that went by a key: its hash is recorded where the key itself is, for short values can be found from it.
import { tellsAddress } from './addresses.ts'

type Names = 'all' | readonly string[]

/** What of the options of redaction counts. */
interface Kept {
  readonly client: unknown
  readonly cookies: { readonly keep?: Names | undefined }
  readonly headers: { readonly keep: Names }
  readonly path: unknown
  readonly query: { readonly keep: Names }
}

/** As far as they are looked at. */
interface Decision {
  readonly trace?: { readonly hash?: number | undefined; readonly options?: unknown } | undefined
}

export type TraceMask = <D extends Decision>(decision: D) => D

/** Without what comes from the key goes the hash, and with it the scores that follow from that: such a pick cannot be replayed. */
export function traceMask(config: Kept): TraceMask {
  return (decision) => {
    const { trace } = decision
    if (trace?.hash === undefined || isRecorded(keyIn(trace.options), config)) return decision
    const { hash: _, ...rest } = trace
    return { ...decision, trace: { ...rest, compared: [] } }
  }
}

const keyIn = (options: unknown): unknown =>
  typeof options === 'object' && options !== null ? (options as { key?: unknown }).key : undefined

/** Whether records tell such a key as it is. What a function of the host returns nobody knows. */
function isRecorded(key: unknown, { client, cookies, headers, path, query }: Kept): boolean {
  if (key === 'client') return client === 'full'
  if (key === 'path') return Array.isArray(path) && path.length === 0
  if (typeof key !== 'object' || key === null) return false
  const { header, cookie, query: parameter } = key as Record<string, unknown>
  if (typeof header === 'string')
    return keeps(headers.keep, header.toLowerCase()) && (client === 'full' || !tellsAddress(header.toLowerCase()))
  if (typeof parameter === 'string') return keeps(query.keep, parameter)
  const kept = cookies.keep ?? (headers.keep === 'all' ? 'all' : [])
  return typeof cookie === 'string' && keeps(headers.keep, 'cookie') && keeps(kept, cookie)
}

const keeps = (keep: Names, name: string): boolean =>
  keep === 'all' || keep.some((one) => one === name || one.toLowerCase() === name)
