// Redaction: which values of a request are kept, and how the others are told.
import { z } from 'zod'
import { safeText } from './text.ts'

const keep = z.union([z.literal('all'), z.array(z.string().min(1))])

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

export interface Redacted {
  readonly values: Values
  /** How many names were left out. */
  readonly omitted: number
}

export interface Redactor {
  /** Names and values in turn, as they came. */
  headers(raw: readonly string[]): Redacted
  /** The target, split: the path escaped, and each query parameter kept or told by its length. */
  url(target: string): { path: string; query?: Values }
}

export function createRedactor(config: RedactConfig): Redactor {
  const keepsHeader = keeper(config.headers.keep, true)
  const keepsQuery = keeper(config.query.keep, false)
  return {
    headers(raw) {
      const values: Values = Object.create(null)
      let names = 0
      let omitted = 0
      for (let i = 0; i + 1 < raw.length; i += 2) {
        const name = raw[i]!.toLowerCase()
        if (values[name] === undefined && ++names > mostNames) omitted++
        else put(values, safeText(name, nameLimit), raw[i + 1]!, keepsHeader(name))
      }
      return { values, omitted }
    },
    url(target) {
      const mark = target.indexOf('?')
      if (mark === -1) return { path: safeText(target) }
      const query: Values = Object.create(null)
      let names = 0
      for (const part of target.slice(mark + 1).split('&', mostNames)) {
        if (part === '') continue
        const equals = part.indexOf('=')
        const name = decode(equals === -1 ? part : part.slice(0, equals))
        if (++names <= mostNames)
          put(query, safeText(name, nameLimit), decode(equals === -1 ? '' : part.slice(equals + 1)), keepsQuery(name))
      }
      return { path: safeText(target.slice(0, mark)), query }
    },
  }
}

function put(values: Values, name: string, value: string, kept: boolean): void {
  const known = values[name]
  if (kept) {
    if (Array.isArray(known)) known.push(safeText(value))
    else values[name] = [safeText(value)]
  } else {
    values[name] = { length: value.length + (known !== undefined && !Array.isArray(known) ? known.length : 0) }
  }
}

function keeper(names: 'all' | readonly string[], foldCase: boolean): (name: string) => boolean {
  if (names === 'all') return () => true
  const set = new Set(foldCase ? names.map((name) => name.toLowerCase()) : names)
  return (name) => set.has(name)
}

function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}
