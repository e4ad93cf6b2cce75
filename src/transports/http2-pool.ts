// The connections of HTTP/2 to one backend: each carries as many requests as the backend allows, and the others wait.
import type { Backend } from '../backend.ts'
import type { AttemptFailure } from '../outcome.ts'
import { failureOf } from './failure.ts'
import { Http2Session, NotHttp2 } from './http2-session.ts'
import { ageLimitUs } from './pool.ts'
import type { TransportSettings } from './settings.ts'

interface Settle {
  ready(session: Http2Session, queueUs: number): void
  fail(failure: AttemptFailure): void
}
interface Waiter extends Settle {
  readonly sinceUs: number
  cancelTimer(): void
}

/** How many requests a backend is thought to allow on a connection while it has not said so (RFC 9113 section 6.5.2). */
const usualStreams = 100

export class Http2Pool {
  readonly #backend: Backend
  readonly #settings: TransportSettings
  /** Those that take requests, the oldest first: so the younger ones grow idle, and close. */
  readonly #sessions: Http2Session[] = []
  /** Those that finish what they carry. */
  readonly #leaving = new Set<Http2Session>()
  /** Those that are being made, and who waits for each. */
  readonly #opening = new Map<Http2Session, Waiter[]>()
  readonly #queue: Waiter[] = []
  /** How many requests wait for one that is being made, at most. */
  #expectedStreams = usualStreams
  /** Sessions so far. */
  #made = 0
  #retired = false
  #closed = false

  constructor(backend: Backend, settings: TransportSettings) {
    this.#backend = backend
    this.#settings = settings
  }

  get isEmpty(): boolean {
    return this.#sessions.length + this.#opening.size + this.#leaving.size === 0
  }

  /** Calls `ready` with a session that has room, now or later, or `fail`; the function it returns gives up waiting. */
  acquire(settle: Settle): () => void {
    const session = this.#withRoom()
    if (session !== undefined) {
      this.#hand(session, settle, 0)
      return () => undefined
    }
    const waiter: Waiter = { ...settle, sinceUs: this.#settings.clock.monoUs(), cancelTimer: () => undefined }
    if (!this.#awaitSession(waiter)) this.#enqueue(waiter)
    return () => this.#forget(waiter)
  }

  /** A request on this session is done. */
  release(session: Http2Session): void {
    session.streams--
    this.#serve()
    this.#restIfIdle(session)
  }

  /** Closes what carries nothing; the others close when they are done. */
  retire(): void {
    this.#retired = true
    for (const session of [...this.#sessions]) if (session.streams === 0) session.leave()
  }

  /** Closes every session, and fails who waits for one. */
  async close(): Promise<void> {
    this.#retired = true
    this.#closed = true
    for (const waiter of this.#queue.splice(0)) {
      waiter.cancelTimer()
      waiter.fail(closedFailure)
    }
    await Promise.all([...this.#sessions, ...this.#leaving, ...this.#opening.keys()].map((one) => one.destroy()))
  }

  #withRoom(): Http2Session | undefined {
    for (let old = this.#oldOne(); old !== undefined; old = this.#oldOne()) old.leave()
    return this.#sessions.find((session) => session.hasRoom)
  }

  #oldOne(): Http2Session | undefined {
    return this.#sessions.find((session) => session.isOld)
  }

  #hand(session: Http2Session, settle: Settle, queueUs: number): void {
    session.wake()
    session.streams++
    settle.ready(session, queueUs)
  }

  /** False where all sessions stand that there may be. */
  #awaitSession(waiter: Waiter): boolean {
    for (const waiting of this.#opening.values()) {
      if (waiting.length >= this.#expectedStreams) continue
      waiting.push(waiter)
      return true
    }
    if (this.#closed || this.#sessions.length + this.#opening.size >= this.#settings.connections.max) return false
    this.#open([waiter])
    return true
  }

  #open(waiting: Waiter[]): void {
    const watcher = {
      onRoom: () => this.#serve(),
      onLeaving: () => this.#left(session),
      onClosed: () => this.#gone(session),
    }
    const { connections, clock } = this.#settings
    const endUs = ageLimitUs(connections.maxAgeMs, clock.monoUs(), this.#made++)
    const session = new Http2Session(this.#backend, this.#settings, watcher, endUs)
    this.#opening.set(session, waiting)
    session.open((error) => {
      this.#opening.delete(session)
      if (error !== undefined) return this.#unopened(waiting, error)
      this.#sessions.push(session)
      this.#welcome(session, waiting)
    })
  }

  // The first of them has waited for the connection and for nothing else: that is no queue.
  #welcome(session: Http2Session, waiting: Waiter[]): void {
    const nowUs = this.#settings.clock.monoUs()
    this.#expectedStreams = Math.max(1, Math.min(usualStreams, session.mostStreams))
    waiting.forEach((waiter, place) => {
      if (session.hasRoom) this.#hand(session, waiter, place === 0 ? 0 : nowUs - waiter.sinceUs)
      else this.#enqueue(waiter)
    })
    this.#serve()
    this.#restIfIdle(session)
  }

  #restIfIdle(session: Http2Session): void {
    if (session.streams > 0) return
    if (session.isGone) session.finish()
    else if (this.#retired) session.leave()
    else session.rest()
  }

  #unopened(waiting: readonly Waiter[], error: Error): void {
    const failure: AttemptFailure = this.#closed
      ? closedFailure
      : error instanceof NotHttp2
        ? { result: 'connect-failed', sent: false, detail: error.message }
        : failureOf(error, { connected: false, responded: false })
    for (const waiter of waiting) waiter.fail(failure)
    this.#serve()
  }

  #enqueue(waiter: Waiter): void {
    const { queue, queueTimeoutMs } = this.#settings.connections
    if (this.#queue.length >= queue) return waiter.fail({ result: 'queue-full', sent: false, detail: 'queue-full' })
    const timer = this.#settings.clock.after(queueTimeoutMs, () => {
      this.#forget(waiter)
      waiter.fail({ result: 'queue-timeout', sent: false, detail: 'queue-timeout' })
    })
    waiter.cancelTimer = () => timer.cancel()
    this.#queue.push(waiter)
  }

  #forget(waiter: Waiter): void {
    waiter.cancelTimer()
    for (const list of [this.#queue, ...this.#opening.values()]) {
      const place = list.indexOf(waiter)
      if (place !== -1) list.splice(place, 1)
    }
  }

  /** Lets those in who wait, as far as there is room, and makes room for the others. */
  #serve(): void {
    for (let session = this.#withRoom(); session !== undefined && this.#queue.length > 0; session = this.#withRoom()) {
      const waiter = this.#queue.shift()!
      waiter.cancelTimer()
      this.#hand(session, waiter, this.#settings.clock.monoUs() - waiter.sinceUs)
    }
    while (this.#queue.length > 0 && this.#awaitSession(this.#queue[0]!)) this.#queue.shift()!.cancelTimer()
  }

  #left(session: Http2Session): void {
    const place = this.#sessions.indexOf(session)
    if (place === -1) return
    this.#sessions.splice(place, 1)
    this.#leaving.add(session)
    this.#serve()
  }

  #gone(session: Http2Session): void {
    this.#left(session)
    this.#leaving.delete(session)
  }
}

const closedFailure: AttemptFailure = { result: 'internal', sent: false, detail: 'the transport was closed' }
