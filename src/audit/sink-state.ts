// The state of a sink as lines tell it: `failing` and `ok` by turns, and not more often than the reader of a log can bear.
import type { Clock, Timer } from '../clock.ts'
import type { EventFields } from '../events.ts'

type Change = EventFields<'audit.sink_changed'>['log']

/**
 * For so long after a line told that a sink is well again, an outage is told only once it has lasted to the end of that time. Such lines
 * are themselves delivered: a sink that fails every other time would else be kept busy by them alone, without end.
 */
const calmMs = 60_000

export interface SinkStateOptions {
  readonly sink: string
  readonly clock: Clock
  readonly onChanged: (fields: Change) => void
  /** Lines that wait for the sink. */
  readonly waiting: () => number
}

export class SinkState {
  readonly #options: SinkStateOptions
  /** Whether the last line said `failing`. */
  #told = false
  /** What failed last in an outage that a line may tell. */
  #failing: { failures: number; error: string } | undefined
  /** Outages that no line told. */
  #untold = 0
  /** Monotonic. */
  #calmUntilUs = 0
  #timer: Timer | undefined

  constructor(options: SinkStateOptions) {
    this.#options = options
  }

  /** It has failed, so many times in a row. */
  failing(failures: number, error: string): void {
    if (this.#told) return
    this.#failing = { failures, error }
    const { clock } = this.#options
    const calmMs = (this.#calmUntilUs - clock.monoUs()) / 1000
    if (calmMs <= 0) this.#tellFailing()
    else this.#timer ??= clock.after(calmMs, () => this.#tellFailing())
  }

  /** It accepts again, after so many failures. */
  well(failures: number): void {
    this.stop()
    const wasFailing = this.#failing !== undefined
    this.#failing = undefined
    if (!this.#told) {
      if (wasFailing) this.#untold++
      return
    }
    this.#told = false
    this.#calmUntilUs = this.#options.clock.monoUs() + calmMs * 1000
    this.#tell({ from: 'failing', to: 'ok', failures })
  }

  /** Nothing is told by itself any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #tellFailing(): void {
    this.stop()
    if (this.#failing === undefined) return
    const { failures, error } = this.#failing
    this.#told = true
    this.#tell({ from: 'ok', to: 'failing', failures, last_error: error })
  }

  #tell(change: Omit<Change, 'sink' | 'waiting'>): void {
    const { sink, onChanged, waiting } = this.#options
    const untold = this.#untold
    this.#untold = 0
    onChanged({ sink, ...change, waiting: waiting(), ...(untold === 0 ? {} : { untold }) })
  }
}
