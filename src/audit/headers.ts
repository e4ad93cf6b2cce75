// Redaction of headers: the values of listed names are kept, and the others told by their length.
import type { Cookies } from './cookies.ts'
import type { Mask, Masked, Values } from './mask.ts'
import { type Keep, mostNames, type Name, namesOf } from './names.ts'
import type { ScrubFunction } from './scrub.ts'
import type { Urls } from './url.ts'

export interface Redacted {
  readonly values: Values
  /** How many were left out. */
  readonly omitted: number
}

/** What a value holds, where it is more than text. */
type Kind = 'text' | 'url' | 'cookies' | 'set-cookie' | 'address'

const kinds: Readonly<Record<string, Kind>> = Object.assign(Object.create(null), {
  cookie: 'cookies',
  'set-cookie': 'set-cookie',
  ...kindOf('url', [
    ':path',
    'content-location',
    'destination',
    'link',
    'location',
    'origin',
    'referer',
    'refresh',
    'x-envoy-original-path',
    'x-forwarded-uri',
    'x-original-uri',
    'x-original-url',
    'x-rewrite-url',
  ]),
  ...kindOf('address', [
    'cf-connecting-ip',
    'fastly-client-ip',
    'forwarded',
    'true-client-ip',
    'x-client-ip',
    'x-cluster-client-ip',
    'x-forwarded-for',
    'x-original-forwarded-for',
    'x-real-ip',
  ]),
})

function kindOf(kind: Kind, names: readonly string[]): Record<string, Kind> {
  return Object.fromEntries(names.map((name) => [name, kind]))
}

/** A header of a shape, and where its values stand in the raw list. */
interface Slot extends Name {
  readonly kind: Kind
  readonly at: number[]
  /** The value that was kept last, and how it is told: clients of one kind say the same. Never of what is not kept. */
  last: string | undefined
  told: string[]
}

/**
 * The names of a request in their order: a client sends the same ones over and over, and what follows from them (which are
 * kept, in which order they are told) is worked out once. Shapes form a tree, a name at each branch.
 */
class Shape {
  readonly #parent: Shape | undefined
  readonly #spelling: string
  #branches: Map<string, Shape> | undefined
  /** The branch that was taken last. */
  #last: Shape | undefined
  /** In the order of canonical JSON; worked out when first asked for. */
  slots: readonly Slot[] | undefined
  omitted = 0

  constructor(parent?: Shape, spelling = '') {
    this.#parent = parent
    this.#spelling = spelling
  }

  /** The shape with one more name; undefined if it is not known. */
  known(spelling: string): Shape | undefined {
    const last = this.#last
    if (last !== undefined && last.#spelling === spelling) return last
    const found = this.#branches?.get(spelling)
    if (found !== undefined) this.#last = found
    return found
  }

  grow(spelling: string): Shape {
    const made = new Shape(this, spelling)
    this.#branches ??= new Map()
    this.#branches.set(spelling, made)
    this.#last = made
    return made
  }

  /** Every name from the first one on. */
  spellings(): string[] {
    const names: string[] = []
    for (let shape: Shape = this; shape.#parent !== undefined; shape = shape.#parent) names.push(shape.#spelling)
    return names.reverse()
  }
}

/** How many shapes are remembered: one for each name of each kind of client. Clients that invent them make all be learnt anew. */
const mostShapes = 4096

export interface HeaderParts {
  readonly keep: Keep
  readonly scrub: ScrubFunction
  readonly mask: Mask
  readonly cookies: Cookies
  readonly urls: Urls
  /** Whether the addresses of clients are told as they are. */
  readonly addresses: boolean
}

export class Headers {
  readonly #parts: HeaderParts
  readonly #nameOf: (name: string) => Name
  #root = new Shape()
  #shapes = 0

  constructor(parts: HeaderParts) {
    this.#parts = parts
    const { keep, scrub } = parts
    this.#nameOf = namesOf(keep === 'all' ? keep : keep.map((name) => name.toLowerCase()), scrub)
  }

  /** Names and values in turn, as they came. */
  redact(raw: readonly string[]): Redacted {
    let shape = this.#root
    for (let i = 0; i + 1 < raw.length; i += 2) shape = shape.known(raw[i]!) ?? this.#grow(shape, raw[i]!)
    shape.slots ??= this.#slotsOf(shape)
    const values: Values = {}
    for (const slot of shape.slots) {
      const told = this.#told(slot, raw)
      // A plain assignment to this name would set the prototype.
      if (slot.safe === '__proto__') Object.defineProperty(values, slot.safe, { value: told, enumerable: true })
      else values[slot.safe] = told
    }
    return { values, omitted: shape.omitted }
  }

  #grow(shape: Shape, spelling: string): Shape {
    if (++this.#shapes > mostShapes) {
      this.#root = new Shape()
      this.#shapes = 0
    }
    return shape.grow(spelling)
  }

  #slotsOf(shape: Shape): readonly Slot[] {
    const slots = new Map<string, Slot>()
    shape.spellings().forEach((spelling, i) => {
      const lower = spelling.toLowerCase()
      const { safe, kept } = this.#nameOf(lower)
      const known = slots.get(safe)
      if (known !== undefined) known.at.push(i * 2 + 1)
      else if (slots.size === mostNames) shape.omitted++
      else {
        const kind = kinds[lower] ?? 'text'
        const told = kept && (kind !== 'address' || this.#parts.addresses)
        slots.set(safe, { safe, kept: told, kind, at: [i * 2 + 1], last: undefined, told: [] })
      }
    })
    return [...slots.values()].sort((a, b) => (a.safe < b.safe ? -1 : 1))
  }

  #told(slot: Slot, raw: readonly string[]): string[] | Masked {
    const { kept, kind, at } = slot
    if (kept) return at.length === 1 ? this.#remembered(slot, raw[at[0]!]!) : at.map((i) => this.#text(raw[i]!, kind))
    // Any HMAC of an address would outlive the key of its month.
    if (kind === 'address' && !this.#parts.addresses) return { length: at.reduce((sum, i) => sum + raw[i]!.length, 0) }
    const { mask } = this.#parts
    if (at.length === 1) return mask.one(raw[at[0]!]!, 'latin1')
    return mask.values(
      at.map((i) => raw[i]!),
      'latin1',
    )
  }

  #remembered(slot: Slot, value: string): string[] {
    if (slot.last === value) return slot.told
    const told = [this.#text(value, slot.kind)]
    // A cookie has values in it that are not kept.
    if (slot.kind === 'text') {
      slot.last = value
      slot.told = told
    }
    return told
  }

  #text(value: string, kind: Kind): string {
    const { cookies, urls } = this.#parts
    if (kind === 'cookies') return cookies.text(value)
    if (kind === 'set-cookie') return cookies.setText(value)
    return kind === 'url' ? urls.text(value) : urls.value(value)
  }
}
