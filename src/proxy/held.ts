// A response that is set aside while another backend is tried: nothing of it is lost, and little of it is read.
import type { Try } from './try.ts'

/** How much of its body is read ahead. More waits in the connection, which then cannot carry anything else. */
const mostBytes = 65_536

export class Held {
  readonly #resume: () => void
  readonly #chunks: Buffer[] = []
  #size = 0
  #stopped = false
  #trailers: readonly string[] | undefined
  readonly one: Try
  readonly status: number
  readonly reason: string
  readonly headers: string[]

  constructor(one: Try, status: number, reason: string, headers: string[], resume: () => void) {
    this.one = one
    this.status = status
    this.reason = reason
    this.headers = headers
    this.#resume = resume
  }

  /** Goes on with the body once the client has caught up. */
  readonly resume = (): void => {
    if (this.#trailers === undefined) this.#resume()
  }

  onData(chunk: Buffer): boolean {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    this.#stopped = this.#size > mostBytes
    return !this.#stopped
  }

  onEnd(trailers: readonly string[]): void {
    this.#trailers = trailers
  }

  /** Hands over what came of the body, and lets the rest follow. Returns the trailers if that was all. */
  pass(to: (chunk: Buffer) => boolean): readonly string[] | undefined {
    let flowing = true
    for (const chunk of this.#chunks.splice(0)) flowing = to(chunk)
    if (this.#stopped && flowing) this.resume()
    return this.#trailers
  }
}
