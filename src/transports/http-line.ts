// One connection of the transport over `node:http`: a socket that carries one request at a time.
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Backend } from '../backend.ts'
import { Deadline } from './deadline.ts'
import { dial, peerAddressOf } from './dial.ts'
import type { Line } from './pool.ts'
import type { TransportSettings } from './settings.ts'

export class HttpLine implements Line {
  readonly #backend: Backend
  readonly #settings: TransportSettings
  readonly #onClosed: (line: HttpLine, byBackend: boolean) => void
  /** For the phase that it is in: of the attempt that it carries, or of its rest. */
  readonly deadline: Deadline
  socket: Socket | undefined
  connectUs = 0
  /** The address of the socket, where the backend is given by a name. */
  peerAddress: string | undefined
  /** Requests that it has carried. Written by the attempts. */
  requests = 0
  /** Of the attempt that it carries. Written by that attempt. */
  response: IncomingMessage | undefined
  /** Whether bytes came that belong to no response: whatever they are, they must not answer the next request. */
  spoiled = false
  /** Whether it was closed by us. */
  closed = false
  #idle = false
  #giveUp: (() => void) | undefined

  constructor(backend: Backend, settings: TransportSettings, onClosed: (line: HttpLine, byBackend: boolean) => void) {
    this.#backend = backend
    this.#settings = settings
    this.#onClosed = onClosed
    this.deadline = new Deadline(settings.clock)
  }

  get isOpen(): boolean {
    return this.socket !== undefined && !this.socket.destroyed
  }

  /** Connects. `settle` is called once, also where the line is closed before. */
  open(settle: (error: Error | undefined) => void): void {
    const { clock, timeouts, tls } = this.#settings
    const beganUs = clock.monoUs()
    const giveUp = dial(
      this.#backend,
      { clock, connectMs: timeouts.connectMs, protocols: ['http/1.1'], tls },
      (error, socket) => {
        this.#giveUp = undefined
        if (error !== undefined) return settle(error)
        this.socket = socket
        this.connectUs = clock.monoUs() - beganUs
        this.peerAddress = peerAddressOf(this.#backend, socket)
        socket.on('data', this.#onData)
        socket.on('end', this.#onOver)
        socket.on('error', this.#onOver)
        socket.on('close', this.#onOver)
        settle(undefined)
      },
    )
    this.#giveUp = () => {
      giveUp()
      settle(new Error('closed'))
    }
  }

  /** Takes the connection back into use. */
  wake(): Socket {
    this.#idle = false
    this.response = undefined
    this.deadline.clear()
    return this.socket!
  }

  /** Puts the connection aside for at most so long. */
  rest(ms: number): void {
    this.#idle = true
    this.response = undefined
    this.deadline.set(ms, () => this.#drop(false))
  }

  /** Hands the socket over to somebody else: it is no line any more. */
  detach(): Socket {
    const socket = this.socket!
    this.deadline.end()
    socket.off('data', this.#onData)
    socket.off('end', this.#onOver)
    socket.off('error', this.#onOver)
    socket.off('close', this.#onOver)
    this.socket = undefined
    return socket
  }

  destroy(): Promise<void> {
    this.closed = true
    this.deadline.end()
    this.#giveUp?.()
    const { socket } = this
    if (socket === undefined || socket.closed) return Promise.resolve()
    socket.destroy()
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }

  // Called before Node's parser sees the bytes: what it has not asked for it may drop without a word.
  readonly #onData = (): void => {
    if (this.#idle) this.#drop(false)
    else if (this.response?.complete === true) this.spoiled = true
  }

  readonly #onOver = (): void => {
    if (this.#idle) this.#drop(true)
  }

  #drop(byBackend: boolean): void {
    this.#idle = false
    this.deadline.end()
    this.socket?.destroy()
    this.#onClosed(this, byBackend)
  }
}
