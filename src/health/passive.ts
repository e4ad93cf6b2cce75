// Passive health: judges backends by how real traffic goes, and has those that do badly ejected.
import { z } from 'zod'
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { AttemptResult, Ending } from '../outcome.ts'
import { Course, couldServe, type EjectionOptions, Ejections, ejectionShape, type Why } from './ejection.ts'
import { describeStanding, judge, type OutlierConfig, outliersSchema, Sample } from './outliers.ts'
import { RateWindow, rateSchema } from './rate.ts'

export const passiveSchema = z.strictObject({
  /** Consecutive failures that eject a backend. Default 5 (Envoy's default). */
  failures: z.int().min(1).max(1000).default(5),
  /** Statuses of a response that count as a failure, besides what fails on the way. Default 500, 502, 503 and 504. */
  statuses: z.array(z.int().min(400).max(599)).default([500, 502, 503, 504]),
  /** Ejects by the share of failures in a sliding window too. Off unless given. */
  rate: rateSchema.optional(),
  /** Ejects those that do much worse than their group too. Off unless given. */
  outliers: outliersSchema.optional(),
  ...ejectionShape,
})
export type PassiveConfig = z.output<typeof passiveSchema>

/** What counts as a failure while ejection is off. */
const { statuses: ordinary } = passiveSchema.parse({})

class Record extends Course {
  window: RateWindow | undefined
  sample: Sample | undefined
  /** The last failure: its result, and the status where that was the fault. */
  fault: AttemptResult = 'ok'
  status: number | undefined

  get lastError(): string | undefined {
    if (this.fault !== 'ok') return this.fault
    return this.status === undefined ? undefined : `status ${this.status}`
  }
}

export class PassiveHealth {
  readonly #clock: Clock
  readonly #ejections: Ejections
  readonly #records = new Map<BackendState, Record>()
  #config: PassiveConfig | undefined
  #backends: ReadonlySet<BackendState> = new Set()
  #sweep: { readonly intervalMs: number; timer: Timer } | undefined

  constructor(options: EjectionOptions) {
    this.#clock = options.clock
    this.#ejections = new Ejections(options)
  }

  /**
   * Goes by this configuration and these backends from now on. Without a configuration ejection is off, and who was out by it
   * is back at once. Must be called after every change of the pool, once that is up to date; {@link settle} must follow.
   */
  watch(backends: ReadonlySet<BackendState>, config: PassiveConfig | undefined): void {
    this.#backends = backends
    this.#config = config
    this.#ejections.count(backends)
    this.#schedule(config?.outliers)
    if (config !== undefined) {
      this.#ejections.configure(config)
      for (const record of this.#records.values()) this.#equip(record, config)
      return
    }
    for (const [backend, record] of this.#records) {
      if (backend.passive !== 'ok') this.#ejections.readmit(backend, record, 'ejection-off', 0)
    }
    this.#records.clear()
  }

  /** Whether an answer with this status counts as a failure: by the configuration, or without one by the default statuses. */
  failed(status: number): boolean {
    return (this.#config?.statuses ?? ordinary).includes(status)
  }

  /**
   * Takes in how one request or lease ended. What says nothing of the backend is `said: 'nothing'`. Results of requests that
   * began before the last return, and any while it is ejected, say nothing either.
   */
  observe(backend: BackendState, said: 'well' | 'failed' | 'nothing', ending: Ending): void {
    const config = this.#config
    if (config === undefined) return
    const record = this.#recordOf(backend, config)
    this.#ejections.ended(backend, record, ending.startUs)
    if (said === 'nothing' || backend.passive === 'ejected' || ending.startUs < record.freshUs) return
    const failed = said === 'failed'
    record.failures = failed ? record.failures + 1 : 0
    record.successes = failed ? 0 : record.successes + 1
    if (failed) {
      record.fault = ending.result
      record.status = ending.status
    }
    if (backend.passive === 'trial') this.#decide(backend, record, failed)
    else this.#judge(backend, record, config, failed, ending)
  }

  /** Must be called after any change of an axis, once the pool is up to date. */
  count(): void {
    this.#ejections.count(this.#backends)
  }

  /**
   * Brings back, if nobody else serves or more are out than may be, one that only its ejection keeps out: one on trial before
   * one ejected, then the longest out. That is a change too, after which this must be called again.
   */
  settle(): void {
    const { lack } = this.#ejections
    if (this.#config === undefined || lack === undefined) return
    let best: { readonly backend: BackendState; readonly record: Record } | undefined
    for (const backend of this.#backends) {
      const record = this.#records.get(backend)
      if (record === undefined || backend.passive === 'ok' || !couldServe(backend)) continue
      const onTrial = backend.passive === 'trial'
      const bestOnTrial = best?.backend.passive === 'trial'
      const longer = best === undefined || record.outSinceUs < best.record.outSinceUs
      if (onTrial === bestOnTrial ? longer : onTrial || best === undefined) best = { backend, record }
    }
    // One more failure puts it out again, when that may be: it has not shown that it is well.
    if (best !== undefined) this.#ejections.readmit(best.backend, best.record, lack, this.#config.failures - 1)
  }

  /** Forgets a backend that left. */
  forget(backend: BackendState): void {
    this.#records.get(backend)?.timer?.cancel()
    this.#records.delete(backend)
  }

  close(): void {
    this.#schedule(undefined)
    for (const record of this.#records.values()) record.timer?.cancel()
    this.#records.clear()
  }

  #recordOf(backend: BackendState, config: PassiveConfig): Record {
    let record = this.#records.get(backend)
    if (record === undefined) {
      record = new Record()
      this.#equip(record, config)
      this.#records.set(backend, record)
    }
    return record
  }

  // What is counted stays, unless it would be counted in another way.
  #equip(record: Record, { rate, outliers }: PassiveConfig): void {
    if (rate?.windowMs !== record.window?.windowMs)
      record.window = rate === undefined ? undefined : new RateWindow(rate.windowMs)
    if (outliers === undefined) record.sample = undefined
    else record.sample ??= new Sample()
  }

  #decide(backend: BackendState, record: Record, failed: boolean): void {
    if (failed) this.#ejections.eject(backend, record, { ...countsOf(record), cause: 'trial-failed', threshold: 1 })
    else this.#ejections.pass(backend, record)
  }

  #judge(backend: BackendState, record: Record, config: PassiveConfig, failed: boolean, { latencyUs }: Ending): void {
    const { window, sample } = record
    sample?.add(failed, latencyUs)
    window?.add(this.#clock.monoUs(), failed)
    if (failed && record.failures >= config.failures) {
      if (this.#ejections.mayEject(backend))
        this.#eject(backend, record, { ...countsOf(record), cause: 'consecutive-failures', threshold: config.failures })
      return
    }
    if (window === undefined || config.rate === undefined) return
    const { minRequests, failurePercent } = config.rate
    const { failures, successes } = window
    const total = failures + successes
    if (total < minRequests || failures * 100 < failurePercent * total || !this.#ejections.mayEject(backend)) return
    const { lastError } = record
    const threshold = failurePercent * 10
    this.#eject(backend, record, { cause: 'failure-rate', failures, successes, threshold, lastError })
  }

  #eject(backend: BackendState, record: Record, why: Why): void {
    record.window?.clear()
    record.sample?.clear()
    this.#ejections.eject(backend, record, why)
  }

  #schedule(outliers: OutlierConfig | undefined): void {
    if (outliers?.intervalMs === this.#sweep?.intervalMs) return
    this.#sweep?.timer.cancel()
    this.#sweep = undefined
    if (outliers === undefined) return
    const { intervalMs } = outliers
    const again = (): Timer =>
      this.#clock.after(intervalMs, () => {
        sweep.timer = again()
        this.#compare()
      })
    const sweep = { intervalMs, timer: again() }
    this.#sweep = sweep
  }

  #compare(): void {
    const outliers = this.#config?.outliers
    if (outliers === undefined) return
    const owners = new Map<Sample, BackendState>()
    for (const [backend, { sample }] of this.#records) {
      if (sample === undefined) continue
      if (backend.passive === 'ok' && this.#backends.has(backend) && couldServe(backend)) owners.set(sample, backend)
      else sample.clear()
    }
    const found = judge([...owners.keys()], outliers)
    for (const standing of found) {
      const { sample, cause } = standing
      const { failures, successes } = sample
      const backend = owners.get(sample)!
      // One may be there twice, and another may have been brought back or put out by what came before.
      if (backend.passive !== 'ok' || !this.#ejections.mayEject(backend)) continue
      const threshold = Math.round(outliers.deviations * 1000)
      const why = { cause, failures, successes, threshold, lastError: describeStanding(standing) }
      this.#eject(backend, this.#records.get(backend)!, why)
    }
    for (const sample of owners.keys()) sample.next()
  }
}

const countsOf = ({ failures, successes, lastError }: Record) => ({ failures, successes, lastError })
