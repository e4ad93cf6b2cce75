// The body of a response on its way to the client: counted, with backpressure, its last byte held where it must wait.
import type { ServerResponse } from 'node:http'
import { sendableTrailers } from './trailers.ts'
import { addTrailers } from './versions.ts'

const settled = Promise.resolve()

export class ResponseWriter {
  readonly #response: ServerResponse
  #resume: (() => void) | undefined
  /** The number of bytes after which the response is complete, where the last of them must wait. */
  #holdAt: number | undefined
  #held: Buffer | undefined
  #paused = false
  #watched = false
  #ended = false
  /** Bytes of the body so far. */
  size = 0

  constructor(response: ServerResponse) {
    this.#response = response
  }

  /** The head is set. `whole`: nothing follows it, so that it is the end of the response too. */
  begin(resume: () => void, holdAt: number | undefined, whole: boolean): void {
    this.#resume = resume
    this.#holdAt = holdAt
    // Node keeps a head until the body begins. What came with it goes out with it; otherwise the head goes alone, for the
    // body may be long in coming.
    // Not `queueMicrotask`, which makes a resource of each.
    if (!whole) void settled.then(() => this.#flush())
  }

  #flush(): void {
    if (this.size === 0 && !this.#ended && !this.#response.destroyed) this.#response.flushHeaders()
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
        this.#resume?.()
      })
    }
    return false
  }

  end(trailers: readonly string[]): void {
    this.#ended = true
    if (trailers.length > 0) addTrailers(this.#response, sendableTrailers(trailers))
    if (this.#held === undefined) this.#response.end()
    else this.#response.end(this.#held)
  }

  /** A body of our own, whole. */
  own(body: string): void {
    this.size = Buffer.byteLength(body)
    this.#response.end(body)
  }
}
