// One source at work: the last good set that it gave, and whether it fails now.
import type { Backend } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Source, SourceFailure, SourceLabel, SourceReport } from '../discovery.ts'
import type { Emit } from '../events.ts'
import { labelOf, type SourceOptions } from './options.ts'

export interface StandingPort {
  readonly clock: Clock
  readonly emit: Emit
  /** Called after each report that brought a set. */
  readonly changed: () => void
}

export class Standing {
  readonly options: SourceOptions
  readonly label: SourceLabel
  /** Resolves with the first report, or when it is closed. */
  readonly first: Promise<void>
  readonly #port: StandingPort
  readonly #source: Source
  #settle: () => void = () => undefined
  #backends: readonly Backend[]
  #setAtUs: number | undefined
  /** What was told of the present failure; undefined while there is none. */
  #told: string | undefined
  #fault: SourceFailure | undefined
  #failures = 0
  #failingSinceUs = 0
  #closed = false

  /** `inherited` is the set to serve until there is a good one. */
  constructor(options: SourceOptions, source: Source, port: StandingPort, inherited: readonly Backend[]) {
    this.options = options
    this.label = labelOf(options)
    this.#source = source
    this.#port = port
    this.#backends = inherited
    this.first = new Promise((resolve) => {
      this.#settle = resolve
    })
    source.start((report) => this.#take(report))
  }

  get backends(): readonly Backend[] {
    return this.#backends
  }

  /** Why there is no good set now, as text; undefined if there is one. */
  get fault(): string | undefined {
    const name = `${this.label.source} ${this.label.of}`
    if (this.#fault !== undefined) return `${name}: ${this.#fault.detail ?? this.#fault.cause}`
    return this.#setAtUs === undefined ? `${name}: no answer yet` : undefined
  }

  close(): void {
    this.#closed = true
    this.#settle()
    this.#source.close()
  }

  #take({ backends, failure }: SourceReport): void {
    if (this.#closed) return
    const isEmpty = backends?.length === 0 && !this.options.allowEmpty
    const good = isEmpty ? undefined : backends
    const fault = failure ?? (isEmpty ? { cause: 'empty' as const } : undefined)
    if (good !== undefined) this.#backends = good
    if (fault === undefined) this.#recovered()
    else this.#failed(fault)
    if (good !== undefined) {
      this.#setAtUs = this.#port.clock.monoUs()
      this.#port.changed()
    }
    this.#settle()
  }

  // Told once for each state: a source that fails is asked again and again.
  #failed(fault: SourceFailure): void {
    const now = this.#port.clock.monoUs()
    if (this.#failures++ === 0) this.#failingSinceUs = now
    this.#fault = fault
    const state = JSON.stringify([fault.cause, fault.problems?.map(({ path }) => path)])
    if (state === this.#told) return
    this.#told = state
    const { cause, detail, problems } = fault
    this.#port.emit('discovery.failed', {
      discovery: {
        ...this.label,
        cause,
        ...(detail === undefined ? {} : { detail }),
        ...(problems === undefined ? {} : { problems: [...problems] }),
        kept: this.#backends.length,
        ...(this.#setAtUs === undefined ? {} : { age_us: now - this.#setAtUs }),
      },
      outcome: 'failure',
    })
  }

  #recovered(): void {
    if (this.#fault === undefined) return
    this.#port.emit('discovery.recovered', {
      discovery: {
        ...this.label,
        failures: this.#failures,
        downtime_us: this.#port.clock.monoUs() - this.#failingSinceUs,
        found: this.#backends.length,
      },
    })
    this.#fault = undefined
    this.#told = undefined
    this.#failures = 0
  }
}
