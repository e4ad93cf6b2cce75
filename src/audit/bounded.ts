// Any value of the host's as a line can hold it.
import type { Json } from '../canonical.ts'
import { safeText } from './text.ts'

const mostMembers = 64
const mostDepth = 8
/** How many values there are in all: an object of the host's may lead to all others that it has. */
const mostValues = 4096
/** How many characters they have in all, three quarters of a line: what is more would be lost with the rest when the line is made. */
const mostText = 49_152
/** How many of these a value takes besides its text: for its quotes, its comma and its number. */
const valueCost = 8
const mostName = 128
/** Larger numbers are not written out: the time that takes grows faster than their length. */
const mostBits = 1024

/**
 * Any value as a line can hold it: bounded in depth, breadth, number and length, text escaped, other numbers than integers as
 * text; errors by name, message and members, maps and sets as lists, bytes by their number. Members that are undefined are left
 * out, as in JSON; what else is left out is marked with its count. Never throws. The time it takes is bounded, but for the names
 * of an object's members, which can only be had all at once.
 */
export function bounded(value: unknown): Json {
  return new Bounded().at([value], 0, 0) ?? 'undefined'
}

class Bounded {
  #values = 0
  #room = mostText

  /** Undefined for what is. */
  at(holder: object, key: PropertyKey, depth: number): Json | undefined {
    this.#values++
    this.#room -= valueCost
    try {
      return this.#value((holder as Record<PropertyKey, unknown>)[key], depth)
    } catch {
      // A getter, a `toString` or a proxy of the host's that throws.
      return '[unreadable]'
    }
  }

  #value(value: unknown, depth: number): Json | undefined {
    switch (typeof value) {
      case 'undefined':
      case 'boolean':
        return value
      case 'string':
        return this.#text(value)
      case 'number':
        return Number.isSafeInteger(value) ? value : String(value)
      case 'bigint':
        return BigInt.asIntN(mostBits, value) === value ? this.#text(String(value)) : '[bigint]'
      case 'symbol':
        return this.#text(String(value))
      case 'function':
        return '[function]'
      default:
        return value === null ? null : this.#object(value as object, depth)
    }
  }

  #object(value: object, depth: number): Json {
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : value.toISOString()
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return { length: value.byteLength }
    if (depth === mostDepth) return '[too deep]'
    if (Array.isArray(value)) return this.#list(value, value.length, depth + 1)
    if (value instanceof Map || value instanceof Set) return this.#list(firstOf(value), value.size, depth + 1)
    const names = Object.keys(value)
    return this.#members(value, value instanceof Error ? namesOfError(names) : names, depth + 1)
  }

  /** `length` may be more than there is of the list. */
  #list(list: readonly unknown[], length: number, depth: number): Json {
    const kept: Json[] = []
    // A hole is an item as well.
    while (kept.length < length && kept.length < mostMembers && !this.#full)
      kept.push(this.at(list, kept.length, depth) ?? 'undefined')
    return length > kept.length ? [...kept, `[+${length - kept.length}]`] : kept
  }

  #members(value: object, names: readonly string[], depth: number): Json {
    const kept = new Map<string, Json>()
    let seen = 0
    for (; seen < names.length && kept.size < mostMembers && !this.#full; seen++) {
      const member = this.at(value, names[seen]!, depth)
      if (member === undefined) continue
      const name = safeText(names[seen]!, mostName)
      this.#room -= name.length
      kept.set(distinct(name, kept), member)
    }
    if (seen < names.length) kept.set(distinct('[+]', kept), names.length - seen)
    return Object.fromEntries(kept)
  }

  get #full(): boolean {
    return this.#values >= mostValues || this.#room <= 0
  }

  #text(value: string): string {
    const text = safeText(value, Math.max(0, Math.min(1024, this.#room)))
    this.#room -= text.length
    return text
  }
}

/** The name, with a number behind it where that name is taken: names that were cut can be equal. */
function distinct(name: string, taken: ReadonlyMap<string, unknown>): string {
  if (!taken.has(name)) return name
  let n = 2
  while (taken.has(`${name}[${n}]`)) n++
  return `${name}[${n}]`
}

function firstOf(all: Iterable<unknown>): unknown[] {
  const first: unknown[] = []
  for (const one of all) {
    if (first.length === mostMembers) break
    first.push(one)
  }
  return first
}

/** Those two are seldom among the members that can be listed. */
const namesOfError = (names: readonly string[]): string[] => [...new Set(['name', 'message', ...names])]
