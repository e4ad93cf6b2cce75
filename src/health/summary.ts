// What was probed and tried on each backend, and how long it was available: one summary each minute.
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { EventFields } from '../events.ts'

/** How often a summary is told, in ms. */
const periodMs = 60_000
/** How many backends are told of in one event, so that a line holds them whatever their ids are. */
const mostTold = 200

interface Counts {
  probesOk: number
  probesFailed: number
  attemptsOk: number
  attemptsFailed: number
  availableUs: number
  unavailableUs: number
  /** Since when it is as it is. */
  sinceUs: number
  available: boolean
  /** It is told of once more, then forgotten. */
  left: boolean
}

/** Counts by identity: a backend that comes again under its id is another one. Runs only while there is somebody to watch. */
export class HealthSummary {
  readonly #clock: Clock
  readonly #tell: (fields: EventFields<'health.summary'>) => void
  readonly #counts = new Map<BackendState, Counts>()
  #timer: Timer | undefined
  #sinceUs = 0

  constructor(clock: Clock, tell: (fields: EventFields<'health.summary'>) => void) {
    this.#clock = clock
    this.#tell = tell
  }

  /** Counts for exactly these from now on. */
  watch(backends: readonly BackendState[]): void {
    const present = new Set(backends)
    for (const [backend, counts] of this.#counts) if (!present.has(backend)) this.#leave(counts)
    for (const backend of backends) {
      const known = this.#counts.get(backend)
      if (known === undefined) this.#counts.set(backend, newCounts(this.#clock.monoUs(), isAvailable(backend)))
      else if (known.left) this.#settle(known, isAvailable(backend), false)
      // Its weight may have become 0, or no more.
      else this.turned(backend)
    }
    if (present.size === 0) this.close()
    else if (this.#timer === undefined) this.#start()
  }

  probed(backend: BackendState, ok: boolean): void {
    const counts = this.#counts.get(backend)
    if (counts === undefined) return
    if (ok) counts.probesOk++
    else counts.probesFailed++
  }

  attempted(backend: BackendState, ok: boolean): void {
    const counts = this.#counts.get(backend)
    if (counts === undefined) return
    if (ok) counts.attemptsOk++
    else counts.attemptsFailed++
  }

  /** Must be called after each change of one of its axes. */
  turned(backend: BackendState): void {
    const counts = this.#counts.get(backend)
    if (counts !== undefined && !counts.left) this.#settle(counts, isAvailable(backend), false)
  }

  /** Counts no more. What was probed since the last summary is told: all else in it is in other records too. */
  close(): void {
    if (this.#timer === undefined) return
    this.#timer.cancel()
    this.#timer = undefined
    if ([...this.#counts.values()].some(({ probesOk, probesFailed }) => probesOk + probesFailed > 0)) this.#flush()
    this.#counts.clear()
  }

  #start(): void {
    this.#sinceUs = this.#clock.monoUs()
    this.#timer = this.#clock.after(periodMs, () => {
      this.#flush()
      this.#start()
    })
  }

  #leave(counts: Counts): void {
    if (!counts.left) this.#settle(counts, false, true)
  }

  #settle(counts: Counts, available: boolean, left: boolean): void {
    const now = this.#clock.monoUs()
    // The time between its leaving and its return is nobody's.
    if (!counts.left) counts[counts.available ? 'availableUs' : 'unavailableUs'] += now - counts.sinceUs
    counts.sinceUs = now
    counts.available = available
    counts.left = left
  }

  #flush(): void {
    const now = this.#clock.monoUs()
    const told: EventFields<'health.summary'>['lb']['backends'] = []
    for (const [backend, counts] of this.#counts) {
      if (!counts.left) this.#settle(counts, counts.available, false)
      told.push({
        id: backend.config.id,
        probes_ok: counts.probesOk,
        probes_failed: counts.probesFailed,
        attempts_ok: counts.attemptsOk,
        attempts_failed: counts.attemptsFailed,
        available_us: counts.availableUs,
        unavailable_us: counts.unavailableUs,
      })
      if (counts.left) this.#counts.delete(backend)
      else this.#counts.set(backend, newCounts(now, counts.available))
    }
    for (let i = 0; i < told.length; i += mostTold)
      this.#tell({ lb: { period_us: now - this.#sinceUs, backends: told.slice(i, i + mostTold) } })
  }
}

const newCounts = (sinceUs: number, available: boolean): Counts => ({
  probesOk: 0,
  probesFailed: 0,
  attemptsOk: 0,
  attemptsFailed: 0,
  availableUs: 0,
  unavailableUs: 0,
  sinceUs,
  available,
  left: false,
})

/** Whether it gets new picks, capacity left aside. */
const isAvailable = ({ admin, active, passive, config }: BackendState): boolean =>
  admin === 'ready' && active !== 'unhealthy' && passive !== 'ejected' && config.weight > 0
