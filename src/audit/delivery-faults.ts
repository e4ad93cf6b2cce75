// What goes wrong with a delivery besides the sink's own answers, as the logger hears of it.
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { LogName } from '../sink.ts'

export class DeliveryFaults {
  readonly #sink: string
  readonly #logger: Logger
  /** What broke the last run. Written by broken and whole. */
  #broken: string | undefined

  /** What the last try to read a log has met. Written by unread and readable. */
  readonly #unread = new Map<LogName, string>()

  constructor(sink: string, logger: Logger) {
    this.#sink = sink
    this.#logger = logger
  }

  /** Whether some log cannot be read now. */
  get blind(): boolean {
    return this.#unread.size > 0
  }

  /** A log cannot be read now, and is tried again. Returns whether the last try has met the same: that is told once. */
  unread(log: LogName, error: unknown): boolean {
    const fault = reasonOf(error)
    const again = this.#unread.get(log) === fault
    this.#unread.set(log, fault)
    if (!again) this.#tell('the log cannot be read for an audit sink, and is tried again', error)
    return again
  }

  readable(log: LogName): void {
    if (this.blind) this.#unread.delete(log)
  }

  /** A run ended by an error: one that comes again in the next run is not told again. */
  broken(error: unknown): void {
    const fault = reasonOf(error)
    if (fault !== this.#broken) this.#tell('the delivery to an audit sink failed', error)
    this.#broken = fault
  }

  /** A run came to its end. */
  whole(): void {
    this.#broken = undefined
  }

  readonly filter = (error: unknown): void => this.#tell('the filter of an audit sink failed; told once', error)

  readonly closing = (error: unknown): void => this.#tell('an audit sink failed to close', error)

  lost(
    range: { readonly origin: string; readonly first: number; readonly last: number },
    why: string | undefined,
  ): void {
    const { origin, first, last } = range
    const facts = { sink: this.#sink, origin, first, last, ...(why === undefined ? {} : { error: why }) }
    this.#logger.error(facts, 'lines of the log are lost for an audit sink')
  }

  #tell(message: string, error: unknown): void {
    this.#logger.error({ sink: this.#sink, error: reasonOf(error) }, message)
  }
}
