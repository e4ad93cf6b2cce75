// Active health: probes every backend at an interval, and moves it after consecutive equal results.
import type { ActiveState, BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import { below, type Random } from '../random.ts'
import type { Dial } from '../transport.ts'
import { probe } from './probe.ts'
import type { ActiveConfig } from './probe-options.ts'
import type { OnTransition, Transition } from './transition.ts'

interface Watch {
  failures: number
  successes: number
  downSinceUs: number | undefined
  /** Whether no result has moved it yet: one success is enough then. */
  initial: boolean
  /** Set while it waits for the next probe. */
  timer: Timer | undefined
  /** Ends the probe under way. */
  stop: AbortController
}

/** One probe that counts. */
export interface Probed {
  readonly backend: BackendState
  /** What is wrong with it, if anything. */
  readonly fault: string | undefined
  /** Failures and successes in a row, this one included. */
  readonly failures: number
  readonly successes: number
  readonly durationUs: number
}

export interface ActiveHealthOptions {
  readonly clock: Clock
  readonly random: Random
  /** How probes connect. */
  readonly dial: Dial
  /** Told of each probe, before of the change that it makes. */
  readonly onProbe: (probed: Probed) => void
  readonly onTransition: OnTransition
}

/**
 * Probes run concurrently, one per backend at a time. What ends because it was stopped says nothing about the backend
 * (caddy#7625), and state belongs to a backend, not to its address (caddy#7870).
 */
export class ActiveHealth {
  readonly #options: ActiveHealthOptions
  readonly #watches = new Map<BackendState, Watch>()
  /** Those that were there before, probed or not: only a new one gets the initial state. */
  readonly #met = new WeakSet<BackendState>()
  #config: ActiveConfig | undefined

  constructor(options: ActiveHealthOptions) {
    this.#options = options
  }

  /** Probes exactly these backends by this configuration from now on; what is known of those that stay is kept. */
  watch(backends: readonly BackendState[], config: ActiveConfig | undefined): void {
    const changed = config !== this.#config
    this.#config = config
    const present = new Set(backends)
    for (const backend of this.#watches.keys()) if (config === undefined || !present.has(backend)) this.#end(backend)
    const fresh = backends.filter((backend) => !this.#met.has(backend))
    for (const backend of fresh) this.#met.add(backend)
    if (config === undefined) {
      for (const backend of backends) this.#void(backend)
      return
    }
    const begun = new Set(config.initial === 'unknown' ? [] : fresh)
    // All of them before the first is told of: who hears of it must not find another one eligible that is not.
    for (const backend of begun) backend.active = config.initial
    for (const backend of backends) {
      const known = this.#watches.get(backend)
      if (known === undefined) this.#begin(backend, config)
      else if (changed) this.#restart(backend, known, config)
    }
    for (const backend of begun) this.#tell(backend, { from: 'unknown', cause: 'initial-state' })
  }

  close(): void {
    for (const backend of this.#watches.keys()) this.#end(backend)
  }

  #begin(backend: BackendState, config: ActiveConfig): void {
    const watch: Watch = {
      failures: 0,
      successes: 0,
      downSinceUs: backend.active === 'unhealthy' ? this.#options.clock.monoUs() : undefined,
      initial: true,
      timer: undefined,
      stop: new AbortController(),
    }
    this.#watches.set(backend, watch)
    this.#first(backend, watch, config)
  }

  // One that waits out an old interval, or an old timeout, would learn of new options too late.
  #restart(backend: BackendState, watch: Watch, config: ActiveConfig): void {
    watch.timer?.cancel()
    watch.stop.abort()
    watch.stop = new AbortController()
    this.#first(backend, watch, config)
  }

  // Spread over a tenth of the interval: backends should not be asked all in one moment.
  #first(backend: BackendState, watch: Watch, config: ActiveConfig): void {
    const ms = below(this.#options.random, Math.ceil(config.intervalMs / 10))
    watch.timer = this.#options.clock.after(ms, () => void this.#run(backend, watch, config))
  }

  #next(backend: BackendState, watch: Watch, config: ActiveConfig): void {
    const { clock, random } = this.#options
    const ms = isChanging(backend.active, watch) ? config.fastIntervalMs : config.intervalMs
    const spread = Math.ceil(ms / 5)
    watch.timer = clock.after(ms - spread / 2 + below(random, spread), () => void this.#run(backend, watch, config))
  }

  #end(backend: BackendState): void {
    const watch = this.#watches.get(backend)
    this.#watches.delete(backend)
    watch?.timer?.cancel()
    watch?.stop.abort()
  }

  // Without probes nothing could ever bring it back: what they said is void.
  #void(backend: BackendState): void {
    const from = backend.active
    if (from === 'unknown') return
    backend.active = 'unknown'
    this.#tell(backend, { from, cause: 'probes-off' })
  }

  #tell(backend: BackendState, change: Pick<Transition, 'from' | 'cause'>): void {
    const to = backend.active
    this.#options.onTransition({ backend, axis: 'active', ...change, to, failures: 0, successes: 0 })
  }

  async #run(backend: BackendState, watch: Watch, config: ActiveConfig): Promise<void> {
    const { clock, dial, onProbe } = this.#options
    const { signal } = watch.stop
    const startUs = clock.monoUs()
    watch.timer = undefined
    const fault = await probe(backend.config, config, { clock, dial }, signal)
    if (signal.aborted) return
    watch.failures = fault === undefined ? 0 : watch.failures + 1
    watch.successes = fault === undefined ? watch.successes + 1 : 0
    const { failures, successes } = watch
    onProbe({ backend, fault, failures, successes, durationUs: clock.monoUs() - startUs })
    this.#judge(backend, watch, config, fault)
    // Who was told may have stopped it.
    if (!signal.aborted) this.#next(backend, watch, config)
  }

  #judge(backend: BackendState, watch: Watch, config: ActiveConfig, fault: string | undefined): void {
    const { active } = backend
    const rise = watch.initial ? 1 : config.rise
    if (active !== 'healthy' && fault === undefined && watch.successes >= rise)
      this.#move(backend, watch, 'healthy', rise)
    else if (active !== 'unhealthy' && watch.failures >= config.fall)
      this.#move(backend, watch, 'unhealthy', config.fall, fault)
  }

  #move(
    backend: BackendState,
    watch: Watch,
    to: 'healthy' | 'unhealthy',
    threshold: number,
    fault?: string | undefined,
  ): void {
    const now = this.#options.clock.monoUs()
    const { downSinceUs, failures, successes } = watch
    const from = backend.active
    backend.active = to
    watch.downSinceUs = to === 'unhealthy' ? now : undefined
    watch.initial = false
    this.#options.onTransition({
      backend,
      axis: 'active',
      from,
      to,
      cause: 'probe',
      failures,
      successes,
      threshold,
      ...(downSinceUs === undefined ? {} : { downtimeUs: now - downSinceUs }),
      ...(fault === undefined ? {} : { lastError: fault }),
    })
  }
}

/** Whether the last result speaks against the state, so that it is worth while to look sooner. */
const isChanging = (active: ActiveState, { failures, successes }: Watch): boolean =>
  (failures > 0 && active !== 'unhealthy') || (successes > 0 && active !== 'healthy')
