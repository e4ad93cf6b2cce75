// What a schema did not accept, as records tell it: by kind and length. It may be a secret that stands in a wrong place.
import type { Json } from './canonical.ts'
import type { Telling } from './secret.ts'

/** Where in a value. */
export type Place = readonly PropertyKey[]

/** Stands in a value for a part of it, as records tell that. */
export class Told {
  readonly json: Json

  constructor(json: Json) {
    this.json = json
  }
}

interface Node {
  whole: boolean
  readonly members: Map<PropertyKey, Node>
}
const newNode = (): Node => ({ whole: false, members: new Map() })

/** The value with {@link Told} at each of these places. */
export function withoutRefused(value: unknown, places: readonly Place[], telling: Telling): unknown {
  if (places.length === 0) return value
  const root = newNode()
  for (const place of places) {
    let node = root
    for (const part of place) {
      const next = node.members.get(part) ?? newNode()
      node.members.set(part, next)
      node = next
    }
    node.whole = true
  }
  return replaced(value, root, telling)
}

function replaced(value: unknown, { whole, members }: Node, telling: Telling): unknown {
  if (value === undefined) return undefined
  if (whole) return new Told(tell(value, telling, 0))
  if (typeof value !== 'object' || value === null) return value
  const member = (part: PropertyKey, one: unknown): unknown => {
    const node = members.get(part)
    return node === undefined ? one : replaced(one, node, telling)
  }
  if (Array.isArray(value)) return value.map((one, i) => member(i, one))
  // What has a life of its own is told as a whole.
  if (!isPlain(value)) return new Told(tell(value, telling, 0))
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, member(name, one)]))
}

/** Whether all that there is to tell of an object are its members. */
export const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** As deep as options lie, and more. */
const mostDepth = 8

function tell(value: unknown, telling: Telling, depth: number): Json {
  if (value === undefined || value === null) return null
  if (typeof value === 'boolean') return value
  if (typeof value === 'string' || value instanceof Uint8Array) return telling.secret(value)
  if (typeof value === 'function') return `[function ${value.name}]`
  if (typeof value !== 'object') return `[${typeof value}]`
  if (depth === mostDepth) return '[too deep]'
  if (Array.isArray(value)) return value.map((one) => tell(one, telling, depth + 1))
  if (!isPlain(value)) return `[object ${value.constructor?.name ?? ''}]`
  const members = Object.entries(value).filter(([, one]) => one !== undefined)
  return Object.fromEntries(
    members.map(([name, one]): [string, Json] => [name.toWellFormed(), tell(one, telling, depth + 1)]),
  )
}
