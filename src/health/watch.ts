// Health as a whole: the axes of every backend, each change of which is one event.
import type { BackendState } from '../backend.ts'
import type { Clock } from '../clock.ts'
import { type Emit, severity } from '../events.ts'
import { type Ending, isBackendFault } from '../outcome.ts'
import type { Random } from '../random.ts'
import type { Dial } from '../transport.ts'
import { ActiveHealth, type Probed } from './active.ts'
import { CapacityHealth } from './capacity.ts'
import { type PassiveConfig, PassiveHealth } from './passive.ts'
import type { ActiveConfig } from './probe-options.ts'
import { HealthSummary } from './summary.ts'
import type { Transition } from './transition.ts'

export interface HealthConfig {
  readonly active?: ActiveConfig | undefined
  readonly passive?: PassiveConfig | undefined
  /** Whether each probe is recorded, besides the summary. */
  readonly record: 'summary' | 'each'
}

export interface HealthWatchOptions {
  readonly clock: Clock
  readonly random: Random
  /** How probes connect: as traffic does. */
  readonly dial: Dial
  /** How many backends are eligible now, those on trial among them, with panic left out of account. */
  readonly eligible: () => number
  /** Brings the pool up to date after a change. */
  readonly refresh: () => void
  readonly emit: Emit
}

export class HealthWatch {
  readonly #options: HealthWatchOptions
  readonly #active: ActiveHealth
  readonly #passive: PassiveHealth
  readonly #summary: HealthSummary
  #record: HealthConfig['record'] = 'summary'
  readonly #capacity: CapacityHealth
  #watched: ReadonlySet<BackendState> = new Set()
  #closed = false

  constructor(options: HealthWatchOptions) {
    this.#options = options
    const { clock, random, dial, eligible, emit } = options
    const onTransition = (transition: Transition): void => this.#changed(transition)
    const onProbe = (probed: Probed): void => this.#probed(probed)
    this.#summary = new HealthSummary(clock, (fields) => void emit('health.summary', fields))
    this.#active = new ActiveHealth({ clock, random, dial, onProbe, onTransition })
    this.#passive = new PassiveHealth({ clock, eligible, onTransition, onRoom: options.refresh })
    // Who is full is asked at the pick: the pool does not change by it.
    this.#capacity = new CapacityHealth(clock, (transition) => this.#tell(transition))
  }

  /**
   * Watches exactly these backends by this configuration. Must be called after every change of the pool, once that is up to
   * date. After `close` it does nothing.
   */
  watch(backends: readonly BackendState[], config: HealthConfig): void {
    if (this.#closed) return
    this.#watched = new Set(backends)
    this.#record = config.record
    this.#summary.watch(config.active === undefined && config.passive === undefined ? [] : backends)
    this.#passive.watch(this.#watched, config.passive)
    this.#active.watch(backends, config.active)
    this.#passive.settle()
  }

  /** Sets what an operator said of a backend; the pool is brought up to date by who calls. */
  setAdmin(backend: BackendState, to: BackendState['admin']): void {
    const from = backend.admin
    if (from === to) return
    backend.admin = to
    this.#summary.turned(backend)
    this.#tell({ backend, axis: 'admin', from, to, cause: 'operator', failures: 0, successes: 0 })
  }

  /**
   * Takes in how one request or lease went; returns whether it counts as a failure of the backend. Must be called while the
   * request is still counted as in flight.
   */
  observe(backend: BackendState, ending: Ending): boolean {
    const { result, status } = ending
    const failed = isBackendFault(result) || (result === 'ok' && status !== undefined && this.#passive.failed(status))
    // What the client or we broke off says nothing about the backend.
    const said = failed ? 'failed' : result === 'ok' ? 'well' : 'nothing'
    // Nor is there anything to learn of a backend that has left.
    if (this.#watched.has(backend)) {
      if (said !== 'nothing') this.#summary.attempted(backend, said === 'well')
      this.#passive.observe(backend, said, ending)
    }
    return failed
  }

  /** Must be called when a backend comes to its `maxInFlight`, and when it has room again. */
  capacityChanged(backend: BackendState, full: boolean): void {
    if (this.#watched.has(backend)) this.#capacity.changed(backend, full)
  }

  forget(backend: BackendState): void {
    this.#passive.forget(backend)
    this.#capacity.forget(backend)
  }

  close(): void {
    this.#closed = true
    this.#watched = new Set()
    this.#summary.close()
    this.#active.close()
    this.#passive.close()
    this.#capacity.close()
  }

  #changed(transition: Transition): void {
    this.#options.refresh()
    this.#summary.turned(transition.backend)
    this.#passive.count()
    this.#tell(transition)
    this.#passive.settle()
  }

  #probed({ backend, fault, failures, successes, durationUs }: Probed): void {
    this.#summary.probed(backend, fault === undefined)
    if (this.#record !== 'each') return
    this.#options.emit('backend.probed', {
      backend: {
        id: backend.config.id,
        failures,
        successes,
        duration_us: durationUs,
        ...(fault === undefined ? {} : { last_error: fault }),
      },
      severity: fault === undefined ? severity.info : severity.warn,
      outcome: fault === undefined ? 'success' : 'failure',
    })
  }

  #tell({ backend: { config }, axis, from, to, cause, failures, successes, ...rest }: Transition): void {
    const bad = to === 'unhealthy' || to === 'ejected'
    this.#options.emit('backend.health_changed', {
      backend: {
        id: config.id,
        axis,
        from,
        to,
        cause,
        failures,
        successes,
        ...(rest.threshold === undefined ? {} : { threshold: rest.threshold }),
        ...(rest.downtimeUs === undefined ? {} : { downtime_us: rest.downtimeUs }),
        ...(rest.lastError === undefined ? {} : { last_error: rest.lastError }),
      },
      severity: bad ? severity.warn : severity.info,
      outcome: bad ? 'failure' : 'success',
    })
  }
}
