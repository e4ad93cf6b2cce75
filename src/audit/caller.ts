// Calls a sink: again and again after growing pauses, and tells when it fails and when it is well again.
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { EventFields } from '../events.ts'
import type { Random } from '../random.ts'
import type { Logger } from '../runtime.ts'
import { type Fault, faultOf, limited, pauseAfter } from './fault.ts'
import { SinkState } from './sink-state.ts'
import { safeText } from './text.ts'

type Change = EventFields<'audit.sink_changed'>['log']

export interface CallerOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly timeoutMs: number
  readonly onChanged: (fields: Change) => void
  /** Lines that wait for the sink. */
  readonly waiting: () => number
}

/** `undefined`: accepted. `given-up`: nobody knows. A fault is what no repetition will change. */
export type Answer = undefined | 'given-up' | (Fault & { readonly why: string })

export class Caller {
  readonly #sink: string
  readonly #options: CallerOptions
  #failures = 0
  /** What lines tell; the logger hears of each outage. */
  readonly #state: SinkState
  #wake: (() => void) | undefined
  /** Ends the call under way. */
  #abort: AbortController | undefined
  #givenUp = false
  /** While it closes a pause is cut short: there may be no time for another one. */
  #hurries = false

  constructor(sink: string, options: CallerOptions) {
    this.#sink = sink
    this.#options = options
    this.#state = new SinkState({ sink, ...options })
  }

  get givenUp(): boolean {
    return this.#givenUp
  }

  /** Whether the last call failed. */
  get fails(): boolean {
    return this.#failures > 0
  }

  /** Calls until the sink has answered for good. */
  async call(act: (signal: AbortSignal) => Promise<void> | undefined): Promise<Answer> {
    while (!this.#givenUp) {
      try {
        await this.#once(act)
        this.#recovered()
        return undefined
      } catch (error) {
        const fault = faultOf(error)
        const { permanent, rejected, rejectedCount, resumeAt } = fault
        if (permanent || (rejected ?? rejectedCount ?? resumeAt) !== undefined)
          return { ...fault, why: safeText(reasonOf(error)) }
        this.failing(error, 'an audit sink fails; its lines wait, and are tried again', true)
        await this.pause(fault.retryAfterMs)
      }
    }
    return 'given-up'
  }

  /** Ends what runs and waits; from then on nothing is called. */
  giveUp(): void {
    this.#givenUp = true
    this.#state.stop()
    this.#wake?.()
    this.#abort?.abort()
  }

  /** Cuts the pause short that runs, and each that follows. */
  hurry(): void {
    this.#hurries = true
    this.#wake?.()
  }

  /** Counts a failure. `announce`: whether a line may tell of it. */
  failing(error: unknown, message: string, announce: boolean): void {
    const fault = reasonOf(error)
    if (++this.#failures === 1) this.#options.logger.warn({ sink: this.#sink, error: fault }, message)
    if (announce) this.#state.failing(this.#failures, safeText(fault))
  }

  /** The pause that the failures in a row ask for. */
  async pause(atLeastMs: number): Promise<void> {
    if (this.#hurries && atLeastMs === 0 && this.#failures < 3) return
    await this.sleep(pauseAfter(this.#failures, this.#options.random, atLeastMs))
  }

  sleep(ms: number): Promise<void> {
    return new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(ms, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = undefined
        timer.cancel()
        resolve()
      }
      if (this.#givenUp) this.#wake()
    })
  }

  async #once(act: (signal: AbortSignal) => Promise<void> | undefined): Promise<void> {
    const abort = new AbortController()
    this.#abort = abort
    try {
      await limited(this.#options.clock, this.#options.timeoutMs, () => act(abort.signal))
    } catch (error) {
      abort.abort()
      throw error
    } finally {
      this.#abort = undefined
    }
  }

  #recovered(): void {
    const failures = this.#failures
    this.#failures = 0
    if (failures === 0) return
    this.#options.logger.warn({ sink: this.#sink, failures }, 'an audit sink accepts lines again')
    this.#state.well(failures)
  }
}
