// Redaction: which values of a request are kept, and how the others are told.
import { z } from 'zod'
import { safeText } from './text.ts'

const keep = z.union([z.literal('all'), z.array(z.string().min(1))], { error: 'expected a list of names, or "all"' })

/** Headers that say what was asked for and by what kind of client, and hold no secret and no person. */
const keptHeaders = [
  'accept',
  'accept-encoding',
  'accept-language',
  'content-encoding',
  'content-length',
  'content-type',
  'expect',
  'host',
  'range',
  'traceparent',
  'transfer-encoding',
  'user-agent',
  'via',
]

export const redactSchema = z.strictObject({
  headers: z
    .strictObject({
      /** Names of the request headers whose values are recorded; of the others name and length are. `all` keeps every value. */
      keep: keep.default(keptHeaders),
    })
    .prefault({}),
  query: z
    .strictObject({
      /** Names of the query parameters whose values are recorded. Default none. */
      keep: keep.default([]),
    })
    .prefault({}),
})
export type RedactConfig = z.output<typeof redactSchema>

/** How many headers or parameters of one request are told one by one. */
const mostNames = 64
const nameLimit = 128

type Values = Record<string, string[] | { length: number }>

interface Redacted {
  readonly values: Values
  /** How many names were left out. */
  readonly omitted: number
}

export interface Redactor {
  /** Names and values in turn, as they came. */
  headers(raw: readonly string[]): Redacted
  /** The target, split: the path escaped, and each query parameter kept or told by its length. */
  url(target: string): { path: string; query?: Values; query_omitted?: number | undefined }
}

export function createRedactor(config: RedactConfig): Redactor {
  const headerOf = remember((name) => nameOf(name.toLowerCase(), config.headers.keep, true))
  const parameterOf = (name: string): Name => nameOf(name, config.query.keep, false)
  return {
    headers(raw) {
      const collected = new Collected()
      for (let i = 0; i + 1 < raw.length; i += 2) collected.put(headerOf(raw[i]!), raw[i + 1]!)
      return { values: collected.values(), omitted: collected.omitted }
    },
    url(target) {
      const mark = target.indexOf('?')
      if (mark === -1) return { path: pathOf(target) }
      const collected = new Collected()
      for (const part of target.slice(mark + 1).split('&')) {
        if (part === '') continue
        const equals = part.indexOf('=')
        const name = parameterOf(decode(equals === -1 ? part : part.slice(0, equals)))
        // Without `=` it may be a name or a secret: a name that is not known is taken for a value that has none.
        if (equals !== -1) collected.put(name, decode(part.slice(equals + 1)))
        else if (name.kept) collected.put(name, '')
        else collected.put(parameterOf(''), decode(part))
      }
      const { omitted } = collected
      const path = pathOf(target.slice(0, mark))
      return { path, query: collected.values(), query_omitted: omitted === 0 ? undefined : omitted }
    },
  }
}

/** An absolute form (RFC 9112 section 3.2.2) may hold a password. */
const pathOf = (target: string): string =>
  safeText(target.startsWith('/') ? target : target.replace(/^([A-Za-z][A-Za-z0-9+.-]*:\/\/)[^/]*@/, '$1'))

/** How a name is told, and whether its values are. */
interface Name {
  readonly safe: string
  readonly kept: boolean
}

function nameOf(name: string, keep: 'all' | readonly string[], foldCase: boolean): Name {
  const kept = keep === 'all' || keep.some((one) => (foldCase ? one.toLowerCase() : one) === name)
  return { safe: safeText(name, nameLimit), kept }
}

/** How many spellings of names are remembered: clients use a few dozen. One that invents them makes all be learnt anew. */
const mostRemembered = 512

function remember(make: (name: string) => Name): (name: string) => Name {
  const known = new Map<string, Name>()
  return (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = make(name)
    if (known.size >= mostRemembered) known.clear()
    known.set(name, made)
    return made
  }
}

/** Names with their values, to be told in the order of canonical JSON. */
class Collected {
  readonly #names: string[] = []
  readonly #told: (string[] | { length: number })[] = []
  omitted = 0

  put({ safe, kept }: Name, value: string): void {
    const at = this.#names.indexOf(safe)
    if (at === -1) {
      if (this.#names.length === mostNames) {
        this.omitted++
        return
      }
      this.#names.push(safe)
      this.#told.push(kept ? [safeText(value)] : { length: value.length })
      return
    }
    const told = this.#told[at]!
    if (Array.isArray(told)) told.push(safeText(value))
    else told.length += value.length
  }

  values(): Values {
    const values: Values = {}
    for (const name of [...this.#names].sort()) {
      const told = this.#told[this.#names.indexOf(name)]!
      // A plain assignment to this name would set the prototype.
      if (name === '__proto__') Object.defineProperty(values, name, { value: told, enumerable: true })
      else values[name] = told
    }
    return values
  }
}

function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
