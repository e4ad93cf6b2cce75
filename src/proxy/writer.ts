// The body of a response on its way to the client: counted, with backpressure, its last byte held where it must wait.
import { ServerResponse } from 'node:http'
import { sendableTrailers } from './trailers.ts'
import { addTrailers } from './versions.ts'

const settled = Promise.resolve()

/** What is short enough to be made a text of, in bytes. */
const mostText = 8192

/**
 * Whether the response is written by Node alone. A host may have put functions of its own in their place, and those may know no
 * text but UTF-8, or keep the end back until something else is done (`express-session` does): they get bytes, the last with the end.
 */
const isOfNode = ({ write, end }: ServerResponse): boolean =>
  write === ServerResponse.prototype.write && end === ServerResponse.prototype.end

export class ResponseWriter {
  readonly #response: ServerResponse
  #resume: (() => void) | undefined
  /** How long the body is, where that is told. */
  #length: number | undefined
  /** Whether the last byte must wait. */
  #holds = false
  /** What is not written yet: the last byte, where it must wait, or what came in the same turn as the head. */
  #held: Buffer | undefined
  #waits = false
  /** Whether the head was set in this turn. */
  #fresh = false
  #paused = false
  #watched = false
  #ended = false
  /** Bytes of the body so far. */
  size = 0

  constructor(response: ServerResponse) {
    this.#response = response
  }

  /** The head is set. `whole`: nothing follows it, so that it is the end of the response too. */
  begin(resume: () => void, length: number | undefined, { holds, whole }: { holds: boolean; whole: boolean }): void {
    this.#resume = resume
    this.#length = length
    this.#holds = holds
    if (whole) return
    // Node keeps a head until the body begins. What comes with it goes out with it, in one write if that is all; otherwise the
    // head goes alone, for the body may be long in coming. Not `queueMicrotask`, which makes a resource of each.
    this.#fresh = true
    void settled.then(() => this.#flush())
  }

  #flush(): void {
    this.#fresh = false
    if (this.#ended || this.#response.destroyed) return
    if (this.size === 0) this.#response.flushHeaders()
    else if (this.#held !== undefined && !this.#waits) this.#pass()
  }

  /** Returns false when the client is slower than the backend: `resume` is called once it has caught up. */
  write(chunk: Buffer): boolean {
    if (this.#held !== undefined) this.#pass()
    this.size += chunk.length
    // Without a length the end of a chunked body is what completes it, and `end` sends that.
    this.#waits = this.#holds && this.#length !== undefined && this.size >= this.#length
    if (!this.#waits && !this.#fresh) return this.#send(chunk)
    this.#held = chunk
    return true
  }

  #pass(): void {
    const chunk = this.#held!
    this.#held = undefined
    this.#fresh = false
    this.#send(chunk)
  }

  #send(chunk: Buffer): boolean {
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
    const response = this.#response
    const held = this.#held
    if (held === undefined) response.end()
    else if (held.length > mostText || !isOfNode(response)) response.end(held)
    else this.#endWith(held.toString('latin1'))
  }

  /** As text it goes out with the head as one piece, which costs less than to gather two. */
  #endWith(text: string): void {
    const response = this.#response
    const { socket } = response
    if (this.size !== this.#length || socket === null) return void response.end(text, 'latin1')
    // Node would gather it with an empty piece that marks the end.
    response.write(text, 'latin1')
    socket.uncork()
    response.end()
  }

  /** A body of our own, whole. */
  own(body: string): void {
    this.size = Buffer.byteLength(body)
    this.#response.end(body)
  }
}
