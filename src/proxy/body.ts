// The body of a request on its way to a backend: counted, and apart from the connection of the client.
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'

/** Who sees a body as it streams past. */
export interface BodyTap {
  onBodyData(chunk: Buffer): void
  onBodyEnd(): void
}

/**
 * Reads a request on demand. Destroying it leaves the request and its connection alone, so that an error can still be
 * answered. It begins to read only when it is asked to: until then another attempt can have the same body.
 */
export class RequestBody extends Readable {
  readonly #request: IncomingMessage
  readonly #tap: BodyTap | undefined
  /** Bytes read from the client so far. */
  size = 0
  /** Whether anything of it was asked for. */
  started = false

  constructor(request: IncomingMessage, tap?: BodyTap) {
    super({ autoDestroy: false, emitClose: false })
    this.#request = request
    this.#tap = tap
  }

  override _read(): void {
    const request = this.#request
    if (!this.started) {
      this.started = true
      // An empty one that somebody has let run out: its end has been told already.
      if (request.readableEnded) {
        this.#onEnd()
        return
      }
      request.on('data', this.#onData)
      request.on('end', this.#onEnd)
      request.on('close', this.#onClose)
    }
    request.resume()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (this.started) {
      const request = this.#request
      request.off('data', this.#onData)
      request.off('end', this.#onEnd)
      request.off('close', this.#onClose)
      request.pause()
    }
    callback(error)
  }

  readonly #onData = (chunk: Buffer): void => {
    this.size += chunk.length
    this.#tap?.onBodyData(chunk)
    if (!this.push(chunk)) this.#request.pause()
  }

  readonly #onEnd = (): void => {
    this.push(null)
    this.#tap?.onBodyEnd()
  }

  readonly #onClose = (): void => {
    if (!this.#request.complete) this.destroy(new Error('the client left within its request'))
  }
}

/** How much of a body that nobody wants is read to the end, so that its connection can be used again. */
const drainBytes = 256 * 1024

/** Reads the rest of a request whose response is complete, up to a bound; more than that closes the connection. */
export function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  let left = drainBytes
  request.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) request.destroy()
  })
  request.resume()
}
