// Those who wait until a sink has accepted a line.
import { Waiters } from '../log/waiters.ts'
import type { LogName } from '../sink.ts'
import type { Handed } from './handing.ts'

export class Acceptance {
  readonly #sink: string
  readonly #waiters = { traffic: new Waiters(), security: new Waiters(), control: new Waiters() }

  constructor(sink: string) {
    this.#sink = sink
  }

  get any(): boolean {
    return Object.values(this.#waiters).some((list) => list.any)
  }

  /** Resolves once the sink has got past this line; rejects if it is lost for the sink. */
  of(log: LogName, index: number): Promise<void> {
    return this.#waiters[log].add(index)
  }

  passed(log: LogName, next: number): void {
    this.#waiters[log].resolveBelow(next)
  }

  /** Must be called before the sink has got past them. Where it has not said which it refused, it may be each of them. */
  refused(log: LogName, { refused, unnamed }: Handed): void {
    for (const { index } of [...refused, ...unnamed.flatMap(({ lines }) => lines)])
      this.#reject(log, index, index, 'has refused the line')
  }

  /** Lines that are not there any more. */
  lost(log: LogName, first: number, last: number): void {
    this.#reject(log, first, last, 'cannot get the line any more')
  }

  close(): void {
    for (const log of Object.keys(this.#waiters) as LogName[]) this.#reject(log, 0, Infinity, 'was closed before')
  }

  #reject(log: LogName, first: number, last: number, what: string): void {
    if (this.#waiters[log].any) this.#waiters[log].rejectBetween(first, last, new Error(`${this.#sink} ${what}`))
  }
}
