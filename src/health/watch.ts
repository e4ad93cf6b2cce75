// Health as a whole: the axes of every backend, each change of which is one event.
import type { BackendState } from '../backend.ts'
import type { Clock } from '../clock.ts'
import { type Emit, type EventFields, severity } from '../events.ts'
import { type Ending, isBackendFault } from '../outcome.ts'
import type { Random } from '../random.ts'
import { ActiveHealth, type Probed } from './active.ts'
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
  /** How many backends are eligible now. */
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
  #watched: ReadonlySet<BackendState> = new Set()
  #closed = false

  constructor(options: HealthWatchOptions) {
    this.#options = options
    const { clock, random, eligible, emit } = options
    const onTransition = (transition: Transition): void => this.#changed(transition)
    const onProbe = (probed: Probed): void => this.#probed(probed)
    this.#summary = new HealthSummary(clock, (fields) => void emit('health.summary', fields))
    this.#active = new ActiveHealth({ clock, random, onProbe, onTransition })
    this.#passive = new PassiveHealth({ clock, eligible, onTransition })
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
    this.#passive.configure(config.passive)
    this.#active.watch(backends, config.active)
    this.#keepOne()
  }

  /** Sets what an operator said of a backend; the pool is brought up to date by who calls. */
  setAdmin(backend: BackendState, to: BackendState['admin']): void {
    const from = backend.admin
    if (from === to) return
    backend.admin = to
    this.#summary.turned(backend)
    this.#tell(
      { id: backend.config.id, axis: 'admin', from, to, cause: 'operator', failures: 0, successes: 0 },
      severity.info,
    )
  }

  /** Takes in how one request or lease went; returns whether it counts as a failure of the backend. */
  observe(backend: BackendState, { result, status, latencyUs }: Ending): boolean {
    const badStatus = result === 'ok' && status !== undefined && this.#passive.failed(status)
    const failed = badStatus || isBackendFault(result)
    // What the client or we broke off says nothing about the backend.
    // Nor is there anything to learn of a backend that has left.
    if ((failed || result === 'ok') && this.#watched.has(backend)) {
      this.#summary.attempted(backend, !failed)
      this.#passive.observe(backend, { ok: !failed, error: badStatus ? `status ${status}` : result, latencyUs })
    }
    return failed
  }

  forget(backend: BackendState): void {
    this.#passive.forget(backend)
  }

  close(): void {
    this.#closed = true
    this.#watched = new Set()
    this.#summary.close()
    this.#active.close()
    this.#passive.close()
  }

  #changed({
    backend,
    axis,
    from,
    to,
    cause,
    failures,
    successes,
    threshold,
    downtimeUs,
    lastError,
  }: Transition): void {
    this.#options.refresh()
    this.#summary.turned(backend)
    const fields = {
      id: backend.config.id,
      axis,
      from,
      to,
      cause,
      failures,
      successes,
      ...(threshold === undefined ? {} : { threshold }),
      ...(downtimeUs === undefined ? {} : { downtime_us: downtimeUs }),
      ...(lastError === undefined ? {} : { last_error: lastError }),
    }
    this.#tell(fields, to === 'unhealthy' || to === 'ejected' ? severity.warn : severity.info)
    this.#keepOne()
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

  // The last one that could serve is never out by ejection alone, also when the others leave later and for other reasons.
  // What it brings back is a change too, which ends here: somebody is eligible then.
  #keepOne(): void {
    if (this.#options.eligible() === 0) this.#passive.readmitLongest(this.#watched)
  }

  #tell(backend: EventFields<'backend.health_changed'>['backend'], level: number): void {
    this.#options.emit('backend.health_changed', {
      backend,
      severity: level,
      outcome: level === severity.warn ? 'failure' : 'success',
    })
  }
}
