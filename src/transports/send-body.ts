// Sends the body of a request on as it comes, no faster than it is taken.
import type { Readable } from 'node:stream'
import { reasonOf } from '../errors.ts'
import type { AttemptFailure } from '../outcome.ts'
import { valueIn } from './raw.ts'

/** What a body is written to: a request of HTTP/1.1, or a stream of HTTP/2. */
export interface BodySink {
  write(chunk: Buffer): boolean
  end(chunk?: Buffer): unknown
  on(event: 'drain', listener: () => void): unknown
  readonly writableNeedDrain: boolean
}

/**
 * Throws where the head says something else of the length than the body, as far as that is there as a whole. The backend would
 * take the next request for what is missing, and what is too much for the next request. Returns the length that the head tells.
 */
export function checkLength(headers: readonly string[], body: Readable | Buffer | undefined): string | undefined {
  let length: string | undefined
  for (let i = 0; i + 1 < headers.length; i += 2) {
    if (headers[i]!.length !== 14 || headers[i]!.toLowerCase() !== 'content-length') continue
    if (length !== undefined || !/^\d+$/.test(headers[i + 1]!)) throw new Error('a Content-Length that is no length')
    length = headers[i + 1]
  }
  const actual = body instanceof Buffer ? body.length : body === undefined ? 0 : undefined
  if (length !== undefined && actual !== undefined && Number(length) !== actual) throw new Error(otherLength)
  return length
}

const otherLength = 'a body of another length than its Content-Length'

export class BodySender {
  readonly #body: Readable
  readonly #sink: BodySink
  readonly #fail: (failure: AttemptFailure) => void
  /** What is still to come, where the head tells. A body of another length would be taken for a part of the next request. */
  #left: number | undefined
  #stopped = false
  #ended = false

  constructor(body: Readable, headers: readonly string[], sink: BodySink, fail: (failure: AttemptFailure) => void) {
    this.#body = body
    this.#sink = sink
    this.#fail = fail
    const length = valueIn(headers, 'content-length')
    this.#left = length === undefined ? undefined : Number(length)
    sink.on('drain', () => {
      if (!this.#stopped) body.resume()
    })
    // Stays: a body can fail after nobody wants it any more.
    body.on('error', (error) => this.#failed({ result: 'client-gone', sent: true, detail: reasonOf(error) }))
    body.on('end', this.#onEnd)
    body.on('data', this.#onData)
  }

  /** Whether all of the body is written. */
  get ended(): boolean {
    return this.#ended
  }

  /** Whether the client is what it waits for, and not the backend. */
  get waitsForClient(): boolean {
    return !this.#stopped && !this.#sink.writableNeedDrain
  }

  /** Reads no more of the body. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#body.off('data', this.#onData)
    this.#body.off('end', this.#onEnd)
    this.#body.pause()
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#left !== undefined) {
      this.#left -= chunk.length
      if (this.#left < 0) return this.#failed({ result: 'internal', sent: true, detail: otherLength })
    }
    if (!this.#sink.write(chunk)) this.#body.pause()
  }

  readonly #onEnd = (): void => {
    if (this.#left !== undefined && this.#left > 0)
      return this.#failed({ result: 'internal', sent: true, detail: otherLength })
    this.#stopped = true
    this.#ended = true
    this.#sink.end()
  }

  #failed(failure: AttemptFailure): void {
    if (this.#stopped) return
    this.stop()
    this.#fail(failure)
  }
}
