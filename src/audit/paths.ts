// The path templater: which segments of a path are named in the place of being told.
import { z } from 'zod'

/** Returns the path as it is to be recorded. */
export type PathFunction = (path: string) => string

const template = z
  .string()
  .max(512)
  .regex(/^\/[\x21-\x7e]*$/, 'expected a path such as /users/:id, that begins with /')
  .superRefine((text, context) => {
    const names = segmentsOf(text).flatMap((segment) => nameIn(segment) ?? [])
    const fault = /[?#%{}\\]/.test(text)
      ? 'expected a path without query, fragment, escapes and braces'
      : segmentsOf(text).slice(0, -1).includes('*')
        ? 'expected * as the last segment only'
        : segmentsOf(text).some((segment) => segment.startsWith(':') && nameIn(segment) === undefined)
          ? 'expected a name of letters, digits and _ behind :'
          : new Set(names).size < names.length
            ? 'expected distinct names'
            : undefined
    if (fault !== undefined) context.addIssue({ code: 'custom', message: fault })
  })

export const templatesSchema = z.union(
  [
    z.array(template).max(1000),
    z.custom<PathFunction>((value) => typeof value === 'function', 'expected a function (path) => text'),
  ],
  { error: 'expected a list of paths such as /users/:id, or a function (path) => text' },
)

/** A path that a template names. */
export interface Templated {
  /** `/users/{id}` */
  readonly path: string
  /** What stood in the places of the names. */
  readonly params: readonly (readonly [name: string, value: string])[]
}

interface Template {
  readonly path: string
  readonly segments: readonly string[]
  readonly names: readonly (string | undefined)[]
  readonly hasRest: boolean
}

/**
 * A function that finds the first template which a path has. It compares as the most lenient backend would: without case,
 * without what is empty, with escapes read (`%2F` too) and dot segments resolved, so that no spelling of a path tells what the
 * template hides. One pass over the path, whatever it is.
 */
export function compileTemplates(templates: readonly string[]): (path: string) => Templated | undefined {
  const byFirst = new Map<string, Template[]>()
  const anyFirst: Template[] = []
  for (const one of templates.map(compiled)) {
    const first = one.segments[0]
    if (first !== undefined && one.names[0] === undefined) {
      const known = byFirst.get(first)
      if (known === undefined) byFirst.set(first, [...anyFirst, one])
      else known.push(one)
    } else {
      anyFirst.push(one)
      for (const list of byFirst.values()) list.push(one)
    }
  }
  return (path) => {
    const segments = segmentsAsked(path)
    for (const one of byFirst.get(literalOf(segments[0] ?? '')) ?? anyFirst) {
      const params = paramsOf(one, segments)
      if (params !== undefined) return { path: one.path, params }
    }
    return undefined
  }
}

function compiled(text: string): Template {
  const segments = segmentsOf(text)
  const hasRest = segments.at(-1) === '*'
  const names = segments.map(nameIn)
  const shown = segments.map((segment, i) => (names[i] === undefined ? segment : `{${names[i]}}`))
  return { path: `/${shown.join('/')}`, segments: segments.map((segment) => segment.toLowerCase()), names, hasRest }
}

const segmentsOf = (path: string): string[] => path.split('/').filter((segment) => segment !== '')

/** `*` stands for all that follows, under the name `rest`. */
const nameIn = (segment: string): string | undefined =>
  segment === '*' ? 'rest' : /^:([A-Za-z_][A-Za-z0-9_]{0,63})$/.exec(segment)?.[1]

function paramsOf({ segments, names, hasRest }: Template, asked: readonly string[]): [string, string][] | undefined {
  if (hasRest ? asked.length < segments.length : asked.length !== segments.length) return undefined
  const params: [string, string][] = []
  for (let i = 0; i < segments.length; i++) {
    const name = names[i]
    if (name === undefined) {
      if (segments[i] !== literalOf(asked[i]!)) return undefined
    } else params.push([name, hasRest && i === segments.length - 1 ? asked.slice(i).join('/') : asked[i]!])
  }
  return params
}

/** A segment without its parameters (RFC 3986 section 3.3), for comparison. */
const literalOf = (segment: string): string => {
  const mark = segment.indexOf(';')
  return (mark === -1 ? segment : segment.slice(0, mark)).toLowerCase()
}

/** The segments that a backend may see in a path. */
function segmentsAsked(path: string): readonly string[] {
  const read = path.includes('%') ? unescaped(path) : path
  const segments = segmentsOf(read.includes('\\') ? read.replaceAll('\\', '/') : read)
  if (!read.includes('.')) return segments
  const out: string[] = []
  for (const segment of segments) {
    const literal = literalOf(segment)
    if (literal === '..') out.pop()
    else if (literal !== '.') out.push(segment)
  }
  return out
}

/** Escapes read once; those that are none stay. */
function unescaped(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path.replace(/%([0-7][\da-f])/gi, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
  }
}
