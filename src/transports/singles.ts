// Connections for one request each, which are in no pool.
import type { HttpLine } from './http-line.ts'
import type { Pool } from './pool.ts'

/** Where an attempt gets its connection from. */
export type Lines = Pick<Pool<HttpLine>, 'acquire' | 'release' | 'renew' | 'stale' | 'discard'>

export class Singles {
  readonly #all = new Set<HttpLine>()

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  /** Gives out one connection, made anew. */
  of(make: () => HttpLine): Lines {
    const discard = (line: HttpLine): void => {
      this.#all.delete(line)
      void line.destroy()
    }
    return {
      acquire: ({ ready }) => {
        const line = make()
        this.#all.add(line)
        ready(line, 0)
        return () => undefined
      },
      release: discard,
      // One that is new is never stale.
      renew: () => undefined,
      stale: () => undefined,
      discard,
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map((line) => line.destroy()))
    this.#all.clear()
  }
}
