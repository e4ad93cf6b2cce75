// Enrichment: what the host says of a request that is recorded.
import { z } from 'zod'
import type { Json } from '../canonical.ts'
import type { RequestFacts } from '../events.ts'
import { bounded } from './bounded.ts'

/** What the host says of a request. */
export interface Enrichment {
  /** Who asked, as the host knows them. */
  readonly principal?: { readonly id: string; readonly type?: string; readonly [member: string]: unknown } | undefined
  readonly tenant?: string | undefined
  /** How they were authenticated, and what came of it: `ok`, `expired`. */
  readonly authentication?:
    | { readonly result: string; readonly method?: string; readonly [member: string]: unknown }
    | undefined
  readonly [member: string]: unknown
}

/** Called once for each request that is recorded, at its end. Must be quick, and returns at once. */
export type Enrich = (facts: RequestFacts) => Enrichment | undefined

export const enrichSchema = z.custom<Enrich>((value) => typeof value === 'function', 'expected a function')

/** The same, harmless: what it throws, or returns that is no object, is told, and nothing is said of the request. */
export function harmless(enrich: Enrich, onFault: (error: unknown) => void): (facts: RequestFacts) => Json | undefined {
  return (facts) => {
    try {
      const said: unknown = enrich(facts)
      if (said === undefined || said === null) return undefined
      if (said instanceof Promise) {
        said.catch(() => undefined)
        onFault(new Error('it returned a promise'))
        return undefined
      }
      if (typeof said === 'object' && !Array.isArray(said)) return bounded(said)
      onFault(new Error(`it returned a ${Array.isArray(said) ? 'list' : typeof said}`))
    } catch (error) {
      onFault(error)
    }
    return undefined
  }
}
