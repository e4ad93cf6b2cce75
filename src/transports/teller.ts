// Tells the driver of an attempt what becomes of it: nothing after its end, and nothing that the driver throws goes further.
import type { Duplex } from 'node:stream'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure, FailedResult } from '../outcome.ts'
import type { AttemptHandler, Connected } from '../transport.ts'

export class Teller {
  readonly #handler: AttemptHandler
  readonly #breakOff: () => void
  /** Whether nothing is told any more. */
  over = false

  /** `breakOff` frees what carries the attempt, for when its driver throws. */
  constructor(handler: AttemptHandler, breakOff: () => void) {
    this.#handler = handler
    this.#breakOff = breakOff
  }

  connected(facts: Connected): void {
    this.#guard(() => this.#handler.onConnected(facts))
  }

  information(status: number, headers: string[]): void {
    this.#guard(() => this.#handler.onInformation(status, headers))
  }

  /** What makes our side throw here is what the response holds. */
  response(status: number, reason: string, headers: string[], resume: () => void): void {
    this.#guard(() => this.#handler.onResponse(status, reason, headers, resume), 'response-invalid')
  }

  data(chunk: Buffer): boolean {
    let goesOn = false
    this.#guard(() => {
      goesOn = this.#handler.onData(chunk)
    })
    return goesOn
  }

  end(trailers: string[]): void {
    this.#last(() => this.#handler.onEnd(trailers))
  }

  fail(failure: AttemptFailure): void {
    this.#last(() => this.#handler.onFail(failure))
  }

  upgrade(headers: string[], socket: Duplex, head: Buffer): void {
    this.#last(() => {
      try {
        this.#handler.onUpgrade!(headers, socket, head)
      } catch (error) {
        // Nobody has it, so nobody else would close it.
        socket.destroy()
        throw error
      }
    })
  }

  #guard(tell: () => void, result: FailedResult = 'internal'): void {
    if (this.over) return
    try {
      tell()
    } catch (error) {
      if (this.over) return
      this.#breakOff()
      this.fail({ result, sent: true, detail: reasonOf(error) })
    }
  }

  #last(tell: () => void): void {
    if (this.over) return
    this.over = true
    try {
      tell()
    } catch {
      // The attempt is over: there is nobody left to be told.
    }
  }
}
