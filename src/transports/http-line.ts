// One connection to a backend, without a client around it: a socket that carries one request at a time.
import type { Socket } from 'node:net'
import type { Backend } from '../backend.ts'
import type { Connected } from '../transport.ts'
import { Deadline } from './deadline.ts'
import { dial, peerAddressOf } from './dial.ts'
import type { Line } from './pool.ts'
import type { TransportSettings } from './settings.ts'

/** Who is told what becomes of the connection while it carries an attempt. */
export interface Carried {
  onData(line: HttpLine, chunk: Buffer): void
  /** It has ended: in order, or with an error. May be called more than once, also when the attempt has left the connection. */
  onOver?(line: HttpLine, error: Error | undefined): void
  /** The time that was given to {@link HttpLine.await} is over. */
  onDue(line: HttpLine): void
}

export class HttpLine implements Line {
  readonly #backend: Backend
  readonly #settings: TransportSettings
  readonly #onClosed: (line: HttpLine, byBackend: boolean) => void
  readonly #onRead: ((bytes: Buffer) => void) | undefined
  /** For the phase that it is in: of the attempt that it carries, or of its rest. */
  readonly #deadline: Deadline
  socket: Socket | undefined
  #connectUs = 0
  /** The address of the socket, where the backend is given by a name. */
  #peerAddress: string | undefined
  /** Requests that it has carried. */
  requests = 0
  /** Whether it was closed by us. */
  closed = false
  #carries: Carried | undefined
  #idle = false
  #giveUp: (() => void) | undefined

  /** `streams`: whether somebody reads the socket as a stream as well. */
  constructor(
    backend: Backend,
    settings: TransportSettings,
    onClosed: (line: HttpLine, byBackend: boolean) => void,
    streams: boolean,
  ) {
    this.#backend = backend
    this.#settings = settings
    this.#onClosed = onClosed
    this.#onRead = streams ? undefined : this.#onData
    this.#deadline = new Deadline(settings.clock)
  }

  get isOpen(): boolean {
    return this.socket !== undefined && !this.socket.destroyed
  }

  /** Connects. `settle` is called once, also where the line is closed before. */
  open(settle: (error: Error | undefined) => void): void {
    const { clock, timeouts, tls } = this.#settings
    const beganUs = clock.monoUs()
    const opened = (error: Error | undefined, socket: Socket): void => {
      this.#giveUp = undefined
      if (error !== undefined) return settle(error)
      this.socket = socket
      this.#connectUs = clock.monoUs() - beganUs
      this.#peerAddress = peerAddressOf(this.#backend, socket)
      socket.on('data', this.#onData)
      socket.on('end', this.#onEnd)
      socket.on('error', this.#onError)
      socket.on('close', this.#onClose)
      settle(undefined)
    }
    let giveUp: () => void
    try {
      const options = { clock, connectMs: timeouts.connectMs, protocols: ['http/1.1'], tls, onRead: this.#onRead }
      giveUp = dial(this.#backend, options, opened)
    } catch (error) {
      // Who gets it next may be far from where it was asked for: nobody there would expect an exception.
      return settle(error as Error)
    }
    this.#giveUp = () => {
      giveUp()
      settle(new Error('closed'))
    }
  }

  /** Takes the connection into use. */
  take(by: Carried): Socket {
    this.#idle = false
    this.#carries = by
    this.#deadline.clear()
    return this.socket!
  }

  /** Counts one request more; returns what is told of the connection then. */
  connected(queueUs: number, stale: number): Connected {
    const reused = this.requests++ > 0
    return { reused, queueUs, connectUs: reused ? 0 : this.#connectUs, stale, peerAddress: this.#peerAddress }
  }

  /** Tells who has it in so many ms, in place of what was to be told before. */
  await(ms: number): void {
    this.#deadline.set(ms, this.#onDue)
  }

  /** Puts the connection aside for at most so long. */
  rest(ms: number): void {
    this.#idle = true
    this.#carries = undefined
    this.#deadline.set(ms, this.#onDue)
  }

  /** Hands the socket over to somebody else: it is no line any more. */
  detach(): Socket {
    const socket = this.socket!
    this.#deadline.end()
    socket.off('data', this.#onData)
    socket.off('end', this.#onEnd)
    socket.off('error', this.#onError)
    socket.off('close', this.#onClose)
    this.socket = undefined
    return socket
  }

  destroy(): Promise<void> {
    this.closed = true
    this.#deadline.end()
    this.#giveUp?.()
    const { socket } = this
    if (socket === undefined || socket.closed) return Promise.resolve()
    socket.destroy()
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#idle) this.#drop(false)
    else this.#carries?.onData(this, chunk)
  }

  readonly #onEnd = (): void => {
    if (this.#idle) this.#drop(true)
    else this.#carries?.onOver?.(this, undefined)
  }

  readonly #onError = (error: Error): void => {
    if (this.#idle) this.#drop(true)
    else this.#carries?.onOver?.(this, error)
  }

  readonly #onClose = (): void => {
    if (this.#idle) this.#drop(true)
    else this.#carries?.onOver?.(this, new Error('closed'))
  }

  readonly #onDue = (): void => {
    if (this.#idle) this.#drop(false)
    else this.#carries?.onDue(this)
  }

  #drop(byBackend: boolean): void {
    this.#idle = false
    this.#deadline.end()
    this.socket?.destroy()
    this.#onClosed(this, byBackend)
  }
}
