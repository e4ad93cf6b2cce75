// Passive health: ejects a backend after consecutive failures in real traffic, for a time that grows.
import { z } from 'zod'
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { OnTransition } from './transition.ts'

export const passiveSchema = z.strictObject({
  /** Consecutive failures that eject a backend. Default 5 (Envoy's default). */
  failures: z.int().min(1).max(1000).default(5),
  /** Statuses of a response that count as a failure, besides what fails on the way. Default 500, 502, 503 and 504. */
  statuses: z.array(z.int().min(400).max(599)).default([500, 502, 503, 504]),
  /** How long the first ejection lasts, in ms. Each further one without a success between lasts twice as long. Default 10,000. */
  ejectionMs: z.int().min(1).max(86_400_000).default(10_000),
  /** The longest ejection, in ms. Default 300,000. */
  maxEjectionMs: z.int().min(1).max(86_400_000).default(300_000),
})
export type PassiveConfig = z.output<typeof passiveSchema>

/** How one attempt went, as far as health goes by it. */
export interface Seen {
  readonly ok: boolean
  /** What failed, in words. */
  readonly error: string
  readonly latencyUs: number
}

interface Record {
  failures: number
  successes: number
  /** Ejections since the last success. */
  ejections: number
  ejectedAtUs: number
  timer: Timer | undefined
}

export interface PassiveHealthOptions {
  readonly clock: Clock
  /** How many backends are eligible now: the last one is never ejected. */
  readonly eligible: () => number
  readonly onTransition: OnTransition
}

export class PassiveHealth {
  readonly #options: PassiveHealthOptions
  readonly #records = new Map<BackendState, Record>()
  #config: PassiveConfig | undefined

  constructor(options: PassiveHealthOptions) {
    this.#options = options
  }

  /** Goes by this configuration from now on. Without one ejection is off, and who was out by it is back at once. */
  configure(config: PassiveConfig | undefined): void {
    this.#config = config
    if (config !== undefined) return
    for (const [backend, record] of this.#records) {
      if (backend.passive === 'ejected') this.#readmit(backend, record, 'ejection-off')
    }
    this.#records.clear()
  }

  /** Whether an answer with this status counts as a failure. */
  failed(status: number): boolean {
    return this.#config?.statuses.includes(status) ?? false
  }

  /** Takes in how one attempt ended. Results of requests that began before an ejection are counted, and eject no further. */
  observe(backend: BackendState, { ok, error }: Seen): void {
    const config = this.#config
    if (config === undefined) return
    const record = this.#record(backend)
    if (ok) {
      record.successes++
      record.failures = 0
      if (backend.passive === 'ok') record.ejections = 0
      return
    }
    record.failures++
    record.successes = 0
    if (record.failures >= config.failures && backend.passive === 'ok' && this.#isNotLast(backend)) {
      this.#eject(backend, record, config, error)
    }
  }

  /** For when nobody is eligible: brings back, of these, the longest out of those that only their ejection keeps out. */
  readmitLongest(backends: ReadonlySet<BackendState>): void {
    let longest: { backend: BackendState; record: Record } | undefined
    for (const [backend, record] of this.#records) {
      if (!backends.has(backend) || backend.passive !== 'ejected' || !servesOtherwise(backend)) continue
      if (longest === undefined || record.ejectedAtUs < longest.record.ejectedAtUs) longest = { backend, record }
    }
    if (longest !== undefined) this.#readmit(longest.backend, longest.record, 'last-eligible')
  }

  /** Forgets a backend that left. */
  forget(backend: BackendState): void {
    this.#records.get(backend)?.timer?.cancel()
    this.#records.delete(backend)
  }

  close(): void {
    for (const record of this.#records.values()) record.timer?.cancel()
    this.#records.clear()
  }

  #record(backend: BackendState): Record {
    let record = this.#records.get(backend)
    if (record === undefined) {
      record = { failures: 0, successes: 0, ejections: 0, ejectedAtUs: 0, timer: undefined }
      this.#records.set(backend, record)
    }
    return record
  }

  // A backend that is out already for another reason is not the one that keeps the pool alive.
  #isNotLast(backend: BackendState): boolean {
    return this.#options.eligible() - (servesOtherwise(backend) ? 1 : 0) >= 1
  }

  #eject(backend: BackendState, record: Record, config: PassiveConfig, error: string): void {
    const { clock, onTransition } = this.#options
    record.ejections++
    record.ejectedAtUs = clock.monoUs()
    const ms = Math.min(config.ejectionMs * 2 ** (record.ejections - 1), config.maxEjectionMs)
    backend.passive = 'ejected'
    record.timer = clock.after(ms, () => this.#readmit(backend, record, 'ejection-over'))
    onTransition({
      backend,
      axis: 'passive',
      from: 'ok',
      to: 'ejected',
      cause: 'consecutive-failures',
      failures: record.failures,
      successes: 0,
      threshold: config.failures,
      lastError: error,
    })
  }

  #readmit(backend: BackendState, record: Record, cause: string): void {
    const { failures, successes } = record
    backend.passive = 'ok'
    // It may be back before its time, and must not come back once more then.
    record.timer?.cancel()
    record.timer = undefined
    // One more failure ejects it again: it has not shown yet that it is well.
    record.failures = Math.max(0, (this.#config?.failures ?? 1) - 1)
    this.#options.onTransition({
      backend,
      axis: 'passive',
      from: 'ejected',
      to: 'ok',
      cause,
      failures,
      successes,
      downtimeUs: this.#options.clock.monoUs() - record.ejectedAtUs,
    })
  }
}

/** Whether nothing but an ejection could keep it out. */
const servesOtherwise = ({ admin, active, config }: BackendState): boolean =>
  admin === 'ready' && active !== 'unhealthy' && config.weight > 0
