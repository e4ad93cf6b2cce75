// What is worked out of a text, remembered while it repeats: clients of one kind say the same over and over.

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
    this.#lengths[length] ??= this.#makeLength(length)
    return this.#lengths[length]
  }

  of(text: string): string {
    if (!this.#useful || text.length > mostLength) return this.#make(text)
    const known = this.#known.get(text)
    if (known !== undefined) {
      this.#hits++
      return known
    }
    if (this.#known.size === mostTexts) {
      this.#useful = this.#hits > mostTexts
      this.#known = new Map()
      this.#hits = 0
    }
    const made = this.#make(text)
    if (this.#useful) this.#known.set(text, made)
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
