// What a request's body may take: so many bytes, and so much time while its client is waited for.
import type { Clock, Timer } from '../clock.ts'

/** Why a body is not read on, in a result and in words. */
export type OnBodyFault = (result: 'too-large' | 'client-timeout', detail: string) => void

export interface BodyBounds {
  readonly clock: Clock
  readonly mostBytes: number | undefined
  readonly idleMs: number
  /** Called once. */
  readonly onFault: OnBodyFault
}

export class BodyWatch {
  readonly #bounds: BodyBounds
  /** Since when the client is waited for; undefined while nobody asks for more. */
  #sinceUs: number | undefined
  #timer: Timer | undefined
  #size = 0
  #over = false

  constructor(bounds: BodyBounds) {
    this.#bounds = bounds
  }

  /** The client is waited for from now on. */
  waits(): void {
    if (this.#over) return
    this.#sinceUs = this.#bounds.clock.monoUs()
    // One timer for many parts: it looks how long the last one is ago.
    if (this.#timer === undefined) this.#set(this.#bounds.idleMs)
  }

  /** Nobody asks for more. */
  rests(): void {
    this.#sinceUs = undefined
  }

  /** A part came. False where it is one too many: nothing is told of it any more. */
  took(bytes: number): boolean {
    if (this.#over) return false
    this.#size += bytes
    const { clock, mostBytes } = this.#bounds
    if (mostBytes !== undefined && this.#size > mostBytes) {
      this.#fail('too-large', `more than ${mostBytes} bytes`)
      return false
    }
    if (this.#sinceUs !== undefined) this.#sinceUs = clock.monoUs()
    return true
  }

  end(): void {
    this.#over = true
    this.#timer?.cancel()
  }

  #set(ms: number): void {
    this.#timer = this.#bounds.clock.after(ms, () => this.#look())
  }

  #look(): void {
    this.#timer = undefined
    if (this.#over || this.#sinceUs === undefined) return
    const { clock, idleMs } = this.#bounds
    const leftMs = idleMs - (clock.monoUs() - this.#sinceUs) / 1000
    // A timer may come a little early.
    if (leftMs >= 1) this.#set(leftMs)
    else this.#fail('client-timeout', `nothing of the body within ${idleMs} ms`)
  }

  #fail(...fault: Parameters<OnBodyFault>): void {
    this.end()
    this.#bounds.onFault(...fault)
  }
}
