// What a syslog connection took lately: syslog has no acknowledgement, so whether it has arrived shows only by the connection.

/** Batches that follow one another so closely are one stretch: however fast they come, few are kept. */
const stretches = 16

interface Stretch {
  first: number
  readonly sinceUs: number
  untilUs: number
}

export class Doubts {
  readonly #settleUs: number
  /** By origin: the stretches that the connection took. */
  readonly #recent = new Map<string, Stretch[]>()
  /** By origin: where lines begin that may be lost. */
  readonly #lost = new Map<string, number>()

  /** What was taken longer ago than `settleUs` before a connection breaks counts as arrived. */
  constructor(settleUs: number) {
    this.#settleUs = settleUs
  }

  took(origin: string, first: number, us: number): void {
    const list = this.#lately(origin, us)
    const last = list.at(-1)
    if (last !== undefined && us - last.sinceUs < this.#settleUs / stretches) {
      last.first = Math.min(last.first, first)
      last.untilUs = us
    } else list.push({ first, sinceUs: us, untilUs: us })
    this.#recent.set(origin, list)
  }

  /** The connection broke. Whether that casts doubt on anything. */
  broke(us: number): boolean {
    let any = false
    for (const origin of this.#recent.keys()) {
      const firsts = this.#lately(origin, us).map(({ first }) => first)
      if (firsts.length === 0) continue
      any = true
      this.#lost.set(origin, Math.min(this.#lost.get(origin) ?? Number.POSITIVE_INFINITY, ...firsts))
    }
    this.#recent.clear()
    return any
  }

  /** The index before `first` from which lines are wanted again; told once, for whoever is told goes back. */
  again(origin: string, first: number): number | undefined {
    const at = this.#lost.get(origin)
    this.#lost.delete(origin)
    return at !== undefined && at < first ? at : undefined
  }

  #lately(origin: string, us: number): Stretch[] {
    return (this.#recent.get(origin) ?? []).filter(({ untilUs }) => us - untilUs < this.#settleUs)
  }
}
