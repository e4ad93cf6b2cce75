// One connection of HTTP/2 to a backend, and how many requests it carries.
import { type ClientHttp2Session, connect } from 'node:http2'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Backend } from '../backend.ts'
import { Deadline } from './deadline.ts'
import { dial, peerAddressOf } from './dial.ts'
import type { TransportSettings } from './settings.ts'

/** A backend that took the connection, and then spoke something else. */
export class NotHttp2 extends Error {
  readonly code = 'ERR_NOT_HTTP2'
}

const sessionOptions = {
  settings: { enablePush: false, initialWindowSize: 256 * 1024 },
  /** Header fields of one response: as many as there may be over HTTP/1.1. */
  maxHeaderListPairs: 1000,
  /** In MB: Node's 10 are less than the windows of 100 streams hold, and it would refuse streams beyond them. */
  maxSessionMemory: 256,
}

/** Who is told what becomes of a session. */
interface Watcher {
  /** It may have room for more than before. */
  onRoom(): void
  /** It takes no more requests. */
  onLeaving(session: Http2Session): void
  onClosed(session: Http2Session): void
}

export class Http2Session {
  readonly #backend: Backend
  readonly #settings: TransportSettings
  readonly #watcher: Watcher
  readonly #deadline: Deadline
  #client: ClientHttp2Session | undefined
  #socket: Socket | undefined
  #giveUp: (() => void) | undefined
  #leaving = false
  #error: Error | undefined
  connectUs = 0
  /** When it is too old, on the monotonic clock. */
  readonly #endUs: number
  #requests = 0
  /** Requests that it carries now. Written by the pool. */
  streams = 0
  /** The address of the socket, where the backend is given by a name. */
  peerAddress: string | undefined
  /** Whether it was closed by us. */
  closed = false
  /** The last stream that the backend says it has looked at; undefined while it says nothing (RFC 9113 section 6.8). */
  lastStream: number | undefined

  constructor(backend: Backend, settings: TransportSettings, watcher: Watcher, endUs: number) {
    this.#backend = backend
    this.#settings = settings
    this.#watcher = watcher
    this.#endUs = endUs
    this.#deadline = new Deadline(settings.clock)
  }

  /** Where streams are made. */
  get client(): ClientHttp2Session {
    return this.#client!
  }

  get hasRoom(): boolean {
    const client = this.#client
    if (client === undefined || this.#leaving || client.closed || client.destroyed) return false
    return this.streams < this.mostStreams
  }

  /** Whether it is to take no more requests for its age. */
  get isOld(): boolean {
    return !this.#leaving && this.#settings.clock.monoUs() >= this.#endUs
  }

  /** How many requests the backend allows at once. */
  get mostStreams(): number {
    return this.#client?.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY
  }

  /** Whether it takes no more requests, or is over. */
  get isGone(): boolean {
    return this.#leaving || this.#client?.destroyed !== false
  }

  /** Whether it went without the backend having looked at this stream, as far as one can know; not, once we took leave of it. */
  hasLost(stream: number | undefined): boolean {
    if (this.lastStream !== undefined) return stream === undefined || stream > this.lastStream
    return !this.#leaving && this.#client?.destroyed !== false
  }

  /** What the connection failed by. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Connects, and waits until the backend has shown that it speaks HTTP/2. `settle` is called once. */
  open(settle: (error: Error | undefined) => void): void {
    const { clock, timeouts, tls } = this.#settings
    const beganUs = clock.monoUs()
    const { connectMs } = timeouts
    const end = (error: Error | undefined): void => {
      this.#giveUp = undefined
      this.connectUs = clock.monoUs() - beganUs
      settle(error)
    }
    const giveUp = dial(this.#backend, { clock, connectMs, protocols: ['h2'], tls }, (error, socket) => {
      if (error !== undefined) return end(error)
      if (socket instanceof TLSSocket && socket.alpnProtocol !== 'h2') {
        socket.destroy()
        return end(new NotHttp2('the backend does not offer HTTP/2'))
      }
      this.#begin(socket, connectMs - (clock.monoUs() - beganUs) / 1000, end)
    })
    this.#giveUp = () => {
      giveUp()
      end(new Error('closed'))
    }
  }

  /** Carries nothing for the moment: closes after a while. */
  rest(): void {
    this.#deadline.set(this.#settings.connections.keepAliveMs, () => this.leave())
  }

  wake(): void {
    this.#deadline.clear()
  }

  /** Takes a request on, and says whether it had carried another one. Once it has carried as many as it may, it leaves. */
  count(): boolean {
    const { maxRequests } = this.#settings.connections
    if (++this.#requests === maxRequests) this.leave()
    return this.#requests > 1
  }

  /** Takes no more requests, and closes when those that it carries are done. */
  leave(): void {
    if (this.#leaving) return
    this.#leaving = true
    this.#deadline.end()
    // What says so to the backend would overtake the heads of requests that were just made: it would refuse them.
    if (this.streams === 0) this.finish()
    this.#watcher.onLeaving(this)
  }

  /** Closes it, as it carries nothing any more. */
  finish(): void {
    this.#client?.close()
  }

  /** Closes it if the backend does not answer: a stream has waited in vain, and others must not do so too. */
  probe(): void {
    const client = this.#client
    if (client === undefined || client.destroyed) return
    const { clock, timeouts } = this.#settings
    const silence = clock.after(timeouts.connectMs, () => this.#kill(client, new Error('no answer to PING')))
    if (!client.ping(() => silence.cancel())) silence.cancel()
  }

  destroy(): Promise<void> {
    this.closed = true
    this.#leaving = true
    this.#deadline.end()
    this.#giveUp?.()
    const client = this.#client
    if (client === undefined || client.destroyed) return Promise.resolve()
    return new Promise((resolve) => {
      client.once('close', () => resolve())
      this.#kill(client)
    })
  }

  // The session alone would wait until the backend has taken what is written.
  #kill(client: ClientHttp2Session, error?: Error): void {
    client.destroy(error)
    this.#socket?.destroy()
  }

  #begin(socket: Socket, leftMs: number, end: (error: Error | undefined) => void): void {
    const client = connect(this.#backend.url, { ...sessionOptions, createConnection: () => socket })
    this.#client = client
    this.#socket = socket
    this.peerAddress = peerAddressOf(this.#backend, socket)
    let standing = false
    const fail = (error: Error): void => {
      if (standing) return
      standing = true
      this.#deadline.end()
      this.#kill(client)
      end(error)
    }
    this.#giveUp = () => fail(new Error('closed'))
    const late = `no settings of HTTP/2 within ${this.#settings.timeouts.connectMs} ms`
    this.#deadline.set(Math.max(1, leftMs), () => fail(new NotHttp2(late)))
    client.on('remoteSettings', () => {
      if (standing) return this.#watcher.onRoom()
      standing = true
      this.#deadline.clear()
      end(undefined)
    })
    client.on('goaway', (_code, lastStream) => {
      this.lastStream = lastStream
      this.leave()
    })
    client.on('error', (error) => {
      this.#error = error
      fail(new NotHttp2(`the backend does not speak HTTP/2: ${error.message}`))
    })
    client.on('close', () => {
      fail(new NotHttp2('the backend closed the connection before it spoke HTTP/2'))
      this.#deadline.end()
      this.#watcher.onClosed(this)
    })
  }
}
