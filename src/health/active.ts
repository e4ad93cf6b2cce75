// Active health: probes every backend at an interval, and moves it after consecutive equal results.
import { z } from 'zod'
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import { below, type Random } from '../random.ts'
import { probe } from './probe.ts'
import type { OnTransition } from './transition.ts'

const range = z
  .strictObject({ from: z.int().min(100).max(599), to: z.int().min(100).max(599) })
  .refine(({ from, to }) => from <= to, 'expected `from` not above `to`')

export const activeSchema = z.strictObject({
  /** What is asked of the backend with GET. Default `/`. */
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, 'expected a path that begins with /')
    .default('/'),
  /** Time between the end of a probe and the next, in ms; each is drawn from 90 % to 110 % of it. Default 2,000. */
  intervalMs: z.int().min(10).max(3_600_000).default(2000),
  /** How long an answer may take, in ms. Default 1,000. */
  timeoutMs: z.int().min(1).max(600_000).default(1000),
  /** Consecutive successes that make a backend healthy. The first probe of an unknown one needs one only. Default 2. */
  rise: z.int().min(1).max(100).default(2),
  /** Consecutive failures that make it unhealthy. Default 3. */
  fall: z.int().min(1).max(100).default(3),
  /** Statuses that count as a success. Default 200 to 399. */
  statuses: range.default({ from: 200, to: 399 }),
})
export type ActiveConfig = z.output<typeof activeSchema>

interface Watch {
  failures: number
  successes: number
  downSinceUs: number | undefined
  /** Undefined while a probe runs. */
  timer: Timer | undefined
  readonly stop: AbortController
}

export interface ActiveHealthOptions {
  readonly clock: Clock
  readonly random: Random
  readonly onTransition: OnTransition
}

/** Probes run concurrently, one per backend at a time; `close` and `forget` abort those under way. */
export class ActiveHealth {
  readonly #options: ActiveHealthOptions
  readonly #watches = new Map<BackendState, Watch>()
  #config: ActiveConfig | undefined

  constructor(options: ActiveHealthOptions) {
    this.#options = options
  }

  /** Probes exactly these backends by this configuration from now on; what is known of those that stay is kept. */
  watch(backends: readonly BackendState[], config: ActiveConfig | undefined): void {
    const changed = config !== this.#config
    this.#config = config
    for (const backend of this.#watches.keys()) {
      if (config === undefined || !backends.includes(backend)) this.#end(backend)
    }
    if (config === undefined) {
      for (const backend of backends) this.#unwatched(backend)
      return
    }
    for (const backend of backends) {
      const known = this.#watches.get(backend)
      // One that waits out an old interval would learn of a shorter one too late.
      if (known !== undefined && (!changed || known.timer === undefined)) continue
      known?.timer?.cancel()
      const stop = new AbortController()
      const watch = known ?? { failures: 0, successes: 0, downSinceUs: undefined, timer: undefined, stop }
      this.#watches.set(backend, watch)
      // The first probes are spread over a tenth of the interval: backends should not be asked all in one moment.
      watch.timer = this.#soon(below(this.#options.random, Math.ceil(config.intervalMs / 10)), backend, watch)
    }
  }

  close(): void {
    for (const backend of this.#watches.keys()) this.#end(backend)
  }

  #end(backend: BackendState): void {
    const watch = this.#watches.get(backend)
    watch?.timer?.cancel()
    watch?.stop.abort()
    this.#watches.delete(backend)
  }

  // Without probes nothing could ever bring it back: what they said is void.
  #unwatched(backend: BackendState): void {
    const from = backend.active
    if (from === 'unknown') return
    backend.active = 'unknown'
    this.#options.onTransition({
      backend,
      axis: 'active',
      from,
      to: 'unknown',
      cause: 'probes-off',
      failures: 0,
      successes: 0,
    })
  }

  #soon(ms: number, backend: BackendState, watch: Watch): Timer {
    return this.#options.clock.after(ms, () => void this.#run(backend, watch))
  }

  async #run(backend: BackendState, watch: Watch): Promise<void> {
    const config = this.#config
    watch.timer = undefined
    if (config === undefined) return
    const fault = await probe(backend.config, { ...config, clock: this.#options.clock, signal: watch.stop.signal })
    // What ends because it was stopped says nothing about the backend (caddy#7625).
    if (watch.stop.signal.aborted) return
    this.#judge(backend, watch, config, fault)
    const { intervalMs } = this.#config ?? config
    const spread = Math.ceil(intervalMs / 5)
    watch.timer = this.#soon(intervalMs - spread / 2 + below(this.#options.random, spread), backend, watch)
  }

  #judge(backend: BackendState, watch: Watch, config: ActiveConfig, fault: string | undefined): void {
    const from = backend.active
    if (fault === undefined) {
      watch.successes++
      watch.failures = 0
      const needed = from === 'unknown' ? 1 : config.rise
      if (from !== 'healthy' && watch.successes >= needed) this.#move(backend, watch, 'healthy', needed, undefined)
    } else {
      watch.failures++
      watch.successes = 0
      if (from !== 'unhealthy' && watch.failures >= config.fall)
        this.#move(backend, watch, 'unhealthy', config.fall, fault)
    }
  }

  #move(
    backend: BackendState,
    watch: Watch,
    to: 'healthy' | 'unhealthy',
    threshold: number,
    fault: string | undefined,
  ): void {
    const now = this.#options.clock.monoUs()
    const downtime = watch.downSinceUs === undefined ? {} : { downtimeUs: now - watch.downSinceUs }
    const from = backend.active
    backend.active = to
    watch.downSinceUs = to === 'unhealthy' ? now : undefined
    this.#options.onTransition({
      backend,
      axis: 'active',
      from,
      to,
      cause: 'probe',
      failures: watch.failures,
      successes: watch.successes,
      threshold,
      ...downtime,
      ...(fault === undefined ? {} : { lastError: fault }),
    })
  }
}
