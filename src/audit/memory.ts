// What is worked out of a text, remembered while it repeats: clients of one kind say the same over and over.
import { inOnePiece } from '../one-piece.ts'

/** How many texts of one kind, and how long they may be. */
const mostTexts = 64
const mostLength = 256
/** How many kinds. */
const mostKinds = 128

/** Remembers what is made of the texts of one kind. Where they do not repeat, as those that trace a request, it gives up. */
export class Memory {
  #known = new Map<string, string>()
  #hits = 0
  #useful = true
  /** The last one: to compare with it costs less than to look it up. */
  #last: string | undefined
  #lastMade = ''
  readonly #make: (text: string) => string
  /** What is made of a length alone. */
  readonly #lengths: string[] = []
  readonly #makeLength: (length: number) => string

  constructor(make: (text: string) => string, makeLength: (length: number) => string) {
    this.#make = make
    this.#makeLength = makeLength
  }

  ofLength(length: number): string {
    if (length > mostLength) return this.#makeLength(length)
    this.#lengths[length] ??= inOnePiece(this.#makeLength(length))
    return this.#lengths[length]
  }

  of(text: string): string {
    if (!this.#useful || text.length > mostLength) return this.#make(text)
    if (text === this.#last) {
      this.#hits++
      return this.#lastMade
    }
    const known = this.#known.get(text)
    if (known !== undefined) {
      this.#hits++
      this.#last = text
      this.#lastMade = known
      return known
    }
    if (this.#known.size === mostTexts) {
      this.#useful = this.#hits > mostTexts
      this.#known = new Map()
      this.#hits = 0
    }
    if (!this.#useful) return this.#make(text)
    const made = inOnePiece(this.#make(text))
    this.#known.set(text, made)
    return made
  }
}

/** Memories by name: where there are too many names, each is its own for once. */
export class Memories {
  readonly #all = new Map<string, Memory>()

  of(name: string, make: () => Memory): Memory {
    const known = this.#all.get(name)
    if (known !== undefined) return known
    const made = make()
    if (this.#all.size < mostKinds) this.#all.set(name, made)
    return made
  }
}
