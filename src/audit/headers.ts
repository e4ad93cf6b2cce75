// Redaction of headers: the values of listed names are kept, and the others told by their length.
import { canonical, type Json, Written } from '../canonical.ts'
import { tellsAddress } from './addresses.ts'
import type { Cookies } from './cookies.ts'
import type { Mask, Masked } from './mask.ts'
import { Memories, Memory } from './memory.ts'
import { type Keep, mostNames, type Name, namesOf } from './names.ts'
import type { ScrubFunction } from './scrub.ts'
import type { Urls } from './url.ts'

export interface Redacted {
  /** By name: a list of values, or the length of what is not kept. */
  readonly values: Written
  /** How many were left out. */
  readonly omitted: number
}

/** What a value holds, where it is more than text; `address`, where none may be told. */
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
})

function kindOf(kind: Kind, names: readonly string[]): Record<string, Kind> {
  return Object.fromEntries(names.map((name) => [name, kind]))
}

/** A header of a shape, and where its values stand in the raw list. */
interface Slot extends Name {
  readonly kind: Kind
  readonly at: number[]
  /** What its member follows from: a value that is kept, the length alone, or more than that. */
  readonly by: 'value' | 'length' | 'more'
  /** The members that were told last, a comma before each. Never has a value that is not kept. */
  readonly memory: Memory
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
  readonly #memories = new Memories()

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
    let json = '{'
    for (const slot of shape.slots) json += json === '{' ? this.#member(slot, raw).slice(1) : this.#member(slot, raw)
    return { values: new Written(`${json}}`), omitted: shape.omitted }
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
        const kind = kinds[lower] ?? (this.#parts.addresses || !tellsAddress(lower) ? 'text' : 'address')
        slots.set(safe, this.#slot({ safe, kept: kept && kind !== 'address' }, kind, i * 2 + 1))
      }
    })
    return [...slots.values()].sort((a, b) => (a.safe < b.safe ? -1 : 1))
  }

  #slot({ safe, kept }: Name, kind: Kind, at: number): Slot {
    const { mask } = this.#parts
    // A cookie has values in it that are not kept, and a URL may. Any HMAC of an address would outlive the key of its month.
    const lengthOnly = !kept && (!mask.keyed || kind === 'address')
    const by = kept && kind === 'text' ? 'value' : lengthOnly ? 'length' : 'more'
    const memory = this.#memories.of(`${by} ${safe}`, () => {
      const name = `,${canonical(safe)}:`
      return new Memory(
        (value) => `${name}${canonical([this.#text(value, 'text')])}`,
        (length) => `${name}{"length":${length}}`,
      )
    })
    return { safe, kept, kind, at: [at], by, memory }
  }

  /** Its member of the whole, a comma before it. */
  #member(slot: Slot, raw: readonly string[]): string {
    const { at, by, memory, safe } = slot
    if (by === 'value' && at.length === 1) return memory.of(raw[at[0]!]!)
    if (by !== 'length') return `,${canonical(safe)}:${canonical(this.#told(slot, raw) as unknown as Json)}`
    let length = 0
    for (const i of at) length += raw[i]!.length
    return memory.ofLength(length)
  }

  #told(slot: Slot, raw: readonly string[]): string[] | Masked {
    const { kept, kind, at } = slot
    if (kept) return at.map((i) => this.#text(raw[i]!, kind))
    const { mask } = this.#parts
    if (at.length === 1) return mask.one(raw[at[0]!]!, 'latin1')
    return mask.values(
      at.map((i) => raw[i]!),
      'latin1',
    )
  }

  #text(value: string, kind: Kind): string {
    const { cookies, urls } = this.#parts
    if (kind === 'cookies') return cookies.text(value)
    if (kind === 'set-cookie') return cookies.setText(value)
    return kind === 'url' ? urls.text(value) : urls.value(value)
  }
}
