// The query of a URL: its parameters, decoded, and which of them is a name and which a value.
import type { Mask, Values } from './mask.ts'
import { mostNames, type Name } from './names.ts'

/** Calls `take` with each parameter of a query, in its order: its name, its value, and how they are written. */
export function eachParameter(
  query: string,
  nameOf: (name: string) => Name,
  take: (name: Name, value: string, written: string) => void,
): void {
  for (const part of query.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = nameOf(decode(equals === -1 ? part : part.slice(0, equals)))
    // Without `=` it may be a name or a secret: a name that is not known is taken for a value that has none. So is base64,
    // the end of which looks like a value that is empty.
    if (name.kept) take(name, equals === -1 ? '' : decode(part.slice(equals + 1)), part)
    else if (equals === -1 || isPadded(part, equals)) take(nameOf(''), decode(part), part)
    else take(name, decode(part.slice(equals + 1)), part)
  }
}

const isPadded = (part: string, equals: number): boolean =>
  equals >= part.length - 2 && part.length >= 16 && part.length % 4 === 0 && part[part.length - 1] === '='

function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** Names with their values, to be told in the order of canonical JSON. */
export class Collected {
  readonly #names: Name[] = []
  readonly #values: string[][] = []
  omitted = 0

  put(name: Name, value: string): void {
    const at = this.#names.findIndex(({ safe }) => safe === name.safe)
    if (at !== -1) this.#values[at]!.push(value)
    else if (this.#names.length === mostNames) this.omitted++
    else {
      this.#names.push(name)
      this.#values.push([value])
    }
  }

  told(mask: Mask, text: (value: string) => string): Values {
    const values: Values = {}
    const order = this.#names.map((_, i) => i)
    if (order.length > 1) order.sort((a, b) => (this.#names[a]!.safe < this.#names[b]!.safe ? -1 : 1))
    for (const i of order) {
      const { safe, kept } = this.#names[i]!
      const given = this.#values[i]!
      const value = kept ? given.map(text) : mask.values(given, 'utf8')
      // A plain assignment to this name would set the prototype.
      if (safe === '__proto__') Object.defineProperty(values, safe, { value, enumerable: true })
      else values[safe] = value
    }
    return values
  }
}
