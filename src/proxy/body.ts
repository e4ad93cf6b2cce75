// The body of a request on its way to backends: counted, kept as far as it may be sent again, apart from the client's connection.
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { type BodyBounds, BodyWatch } from './body-watch.ts'

/** Who sees a body as it streams past. */
export interface BodyTap {
  onBodyData(chunk: Buffer): void
  onBodyEnd(): void
}

export interface BodyReading {
  /** Who sees it as it streams past. */
  readonly tap?: BodyTap | undefined
  readonly bounds?: BodyBounds | undefined
}

/**
 * Reads a request on demand, and gives each attempt a copy of it from the start. What was read is kept up to a bound while
 * attempts may follow: beyond it the body cannot be sent again. The latest copy reads on, and none before it: each has what it
 * gets without a hole, though one that is overtaken may never end. They can run side by side once all of the body is kept.
 */
export class RequestBody {
  readonly #request: IncomingMessage
  readonly #tap: BodyTap | undefined
  readonly #watch: BodyWatch | undefined
  /** What was read, from its start; undefined once a part of it is gone. */
  #kept: Buffer[] | undefined
  #room: number
  #latest: BodyCopy | undefined
  #reader: BodyCopy | undefined
  #begun = false
  #ended = false
  #closed = false
  /** Bytes read from the client so far. */
  size = 0

  /** `bound`: how many bytes are kept. */
  constructor(request: IncomingMessage, bound: number, { tap, bounds }: BodyReading = {}) {
    this.#request = request
    this.#room = bound
    this.#tap = tap
    this.#watch = bounds && new BodyWatch(bounds)
    if (bound > 0) this.#kept = []
  }

  /** Whether a further copy would be whole. */
  get replayable(): boolean {
    return !this.#begun || this.#kept !== undefined
  }

  /** Whether copies can be sent side by side: nothing has to be read any more. */
  get whole(): boolean {
    return this.#ended && this.#kept !== undefined
  }

  copy(): Readable {
    this.#latest = new BodyCopy(this, this.#kept)
    return this.#latest
  }

  /** No attempt will follow: what is kept is given up, but for what a copy has still to send. */
  free(): void {
    this.#kept = undefined
  }

  /** Leaves the request alone from now on. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#watch?.end()
    this.free()
    this.#reader?.destroy()
    if (!this.#begun) return
    this.#request.off('data', this.#onData)
    this.#request.off('end', this.#onEnd)
    this.#request.off('close', this.#onClose)
    this.#request.pause()
  }

  /** For a copy that has sent all that is kept: it gets what comes from now on. */
  read(reader: BodyCopy): void {
    const request = this.#request
    if (!this.#begun) {
      this.#begun = true
      // An empty one that somebody has let run out: its end has been told already.
      if (request.readableEnded) this.#ended = true
      else {
        request.on('data', this.#onData)
        request.on('end', this.#onEnd)
        request.on('close', this.#onClose)
      }
    }
    if (this.#ended) {
      reader.push(null)
      return
    }
    if (reader !== this.#latest) return
    this.#reader = reader
    this.#watch?.waits()
    request.resume()
  }

  /** For a copy that nobody wants any more. */
  left(reader: BodyCopy): void {
    if (this.#reader !== reader) return
    this.#reader = undefined
    this.#rest()
  }

  #rest(): void {
    this.#watch?.rests()
    this.#request.pause()
  }

  readonly #onData = (chunk: Buffer): void => {
    this.size += chunk.length
    if (this.#watch?.took(chunk.length) === false) return
    this.#tap?.onBodyData(chunk)
    this.#room -= chunk.length
    if (this.#room < 0 || this.#kept === undefined) this.#kept = undefined
    else this.#kept.push(chunk)
    if (this.#reader?.push(chunk) !== true) this.#rest()
  }

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#watch?.end()
    this.#reader?.push(null)
    this.#tap?.onBodyEnd()
  }

  readonly #onClose = (): void => {
    if (this.#request.complete) return
    this.#watch?.end()
    this.free()
    this.#reader?.destroy(new Error('the client left within its request'))
  }
}

/** Destroying it leaves the request and its connection alone, so that an error can still be answered. */
class BodyCopy extends Readable {
  readonly #body: RequestBody
  /** What is to be sent before anything is read; undefined once it was. */
  #kept: readonly Buffer[] | undefined
  #sent = 0

  constructor(body: RequestBody, kept: readonly Buffer[] | undefined) {
    super({ autoDestroy: false, emitClose: false })
    this.#body = body
    this.#kept = kept
  }

  override _read(): void {
    while (this.#kept !== undefined && this.#sent < this.#kept.length) if (!this.push(this.#kept[this.#sent++])) return
    // What is read from now on it gets at once, and need not look up.
    this.#kept = undefined
    this.#body.read(this)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#kept = undefined
    this.#body.left(this)
    callback(error)
  }
}
