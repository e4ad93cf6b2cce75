// The body of a response on its way to the client: counted, with backpressure, its last byte held where it must wait.
import type { ServerResponse } from 'node:http'
import { trailersOf } from './headers.ts'
import { addTrailers } from './versions.ts'

export class ResponseWriter {
  readonly #response: ServerResponse
  #resume: () => void = () => undefined
  /** The number of bytes after which the response is complete, where the last of them must wait. */
  #holdAt: number | undefined
  #held: Buffer | undefined
  #paused = false
  #watched = false
  /** Bytes of the body so far. */
  size = 0

  constructor(response: ServerResponse) {
    this.#response = response
  }

  begin(resume: () => void, holdAt: number | undefined): void {
    this.#resume = resume
    this.#holdAt = holdAt
  }

  /** Returns false when the client is slower than the backend: `resume` is called once it has caught up. */
  write(chunk: Buffer): boolean {
    this.size += chunk.length
    // Without a length the end of a chunked body is what completes it, and `end` sends that.
    if (this.#holdAt !== undefined && this.size >= this.#holdAt) {
      this.#held = chunk
      return true
    }
    if (this.#response.write(chunk)) return true
    this.#paused = true
    if (!this.#watched) {
      this.#watched = true
      this.#response.on('drain', () => {
        if (!this.#paused) return
        this.#paused = false
        this.#resume()
      })
    }
    return false
  }

  end(trailers: readonly string[]): void {
    if (trailers.length > 0) addTrailers(this.#response, trailersOf(trailers))
    if (this.#held === undefined) this.#response.end()
    else this.#response.end(this.#held)
  }

  /** A body of our own, whole. */
  own(body: string): void {
    this.size = Buffer.byteLength(body)
    this.#response.end(body)
  }
}
