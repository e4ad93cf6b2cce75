// Floods: denials of one client beyond a rate become one line with their number.
import type { Clock, Timer } from '../clock.ts'
import type { EventFields } from '../events.ts'

type Denied = EventFields<'access.denied'>

/** How many equal denials of one client a second are told one by one. */
const mostEach = 100
/** How many clients are told apart at a time: beyond that, a flood has too many addresses for each to be told of. */
const mostClients = 10_000
const windowMs = 1000

interface Count {
  told: number
  held: number
  last: Denied
}

/**
 * Denials are equal when client, rule and phase are. What is held back is told at the end of each second, in one line whose
 * `access.count` says for how many it stands: none is lost, and a flood cannot fill the log.
 */
export class Flood {
  readonly #clock: Clock
  readonly #tell: (denied: Denied) => void
  readonly #counts = new Map<string, Count>()
  #timer: Timer | undefined

  constructor(clock: Clock, tell: (denied: Denied) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  deny(denied: Denied): void {
    const { rule, phase } = denied.access
    const crowded = this.#counts.size >= mostClients
    const key = `${phase} ${rule} ${crowded ? '*' : (denied.client?.address ?? '')}`
    const count = this.#counts.get(key)
    if (count === undefined) {
      this.#counts.set(key, { told: 1, held: 0, last: denied })
      this.#timer ??= this.#clock.after(windowMs, () => this.flush())
      this.#tell(denied)
    } else if (count.told < mostEach) {
      count.told++
      this.#tell(denied)
    } else {
      count.held++
      count.last = crowded ? { ...denied, client: undefined, network: undefined } : denied
    }
  }

  /** Tells what is held back, and begins to count anew. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const { held, last } of this.#counts.values()) {
      if (held > 0) this.#tell({ ...last, access: { ...last.access, count: held } })
    }
    this.#counts.clear()
  }
}
