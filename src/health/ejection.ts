// Ejection: how a backend goes out, on trial and back on the passive axis, for how long, and how many may be out.
import { z } from 'zod'
import type { BackendState } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { OnTransition, Transition } from './transition.ts'

export const ejectionShape = {
  /** How long the first ejection lasts, in ms. Default 10,000. */
  ejectionMs: z.int().min(1).max(86_400_000).default(10_000),
  /**
   * The longest ejection, in ms. Each lasts twice as long as the one before it, up to this; after so much time in service the
   * first length counts again. Default 300,000.
   */
  maxEjectionMs: z.int().min(1).max(86_400_000).default(300_000),
  /**
   * How many may be out at once, in percent of those that could serve otherwise, rounded down; but one of two or more may
   * always be, and the last never. Default 50.
   */
  maxEjectedPercent: z.int().min(1).max(100).default(50),
}
export type EjectionConfig = z.output<z.ZodObject<typeof ejectionShape>>

/** What is known of one backend's way out and back, and of its results in a row. */
export class Course {
  failures = 0
  successes = 0
  /** Results of requests that began before this say nothing: its last return, if only on trial. */
  freshUs = 0
  /** When it was last `ok` before it went out, when this ejection began, and when it came back into service. */
  outSinceUs = 0
  ejectedAtUs = 0
  inServiceSinceUs = 0
  /** How long the last ejection was to last. */
  lastMs = 0
  /** What is in flight since before this is not counted in the room of the trial. */
  roomUs = 0
  timer: Timer | undefined
}

export type Why = Pick<Transition, 'cause' | 'failures' | 'successes' | 'threshold' | 'lastError'>

export interface EjectionOptions {
  readonly clock: Clock
  /** How many backends are eligible now, those on trial among them, with panic left out of account. */
  readonly eligible: () => number
  readonly onTransition: OnTransition
  /** Told when one on trial may take one request more, without any axis having moved. */
  readonly onRoom: () => void
}

/** Writes the passive axis. A backend on trial still counts as out, for it serves but one request at a time. */
export class Ejections {
  readonly #options: EjectionOptions
  #config: EjectionConfig | undefined
  /** Of the backends that nothing else keeps out: all, those ejected or on trial, and those on trial. */
  #serving = 0
  #out = 0
  #trials = 0

  constructor(options: EjectionOptions) {
    this.#options = options
  }

  configure(config: EjectionConfig): void {
    this.#config = config
  }

  /** Must be called after any change of an axis or a weight, once the pool is up to date. */
  count(backends: Iterable<BackendState>): void {
    this.#serving = 0
    this.#out = 0
    this.#trials = 0
    for (const backend of backends) {
      if (!couldServe(backend)) continue
      this.#serving++
      if (backend.passive !== 'ok') this.#out++
      if (backend.passive === 'trial') this.#trials++
    }
  }

  /** Whether this one, which is in service, may go out. One that is out for another reason may always. */
  mayEject(backend: BackendState): boolean {
    return !couldServe(backend) || (this.#out < this.#mostOut && this.#inService > 1)
  }

  eject(backend: BackendState, course: Course, why: Why): void {
    const { clock } = this.#options
    const { ejectionMs, maxEjectionMs } = this.#config!
    const from = backend.passive
    const now = clock.monoUs()
    const forgotten = from === 'ok' && now - course.inServiceSinceUs >= maxEjectionMs * 1000
    course.lastMs = Math.min(Math.max(ejectionMs, forgotten ? 0 : course.lastMs * 2), maxEjectionMs)
    course.ejectedAtUs = now
    if (from === 'ok') course.outSinceUs = now
    course.timer?.cancel()
    course.timer = clock.after(course.lastMs, () => this.#try(backend, course))
    this.#move(backend, 'ejected', why)
  }

  /** Ends a trial well. */
  pass(backend: BackendState, course: Course): void {
    const now = this.#options.clock.monoUs()
    this.#serve(course, now)
    const { failures, successes, outSinceUs } = course
    this.#move(backend, 'ok', { cause: 'trial-passed', failures, successes, threshold: 1 }, now - outSinceUs)
  }

  /** Brings one back before its time, with so many failures to its name. What began before says nothing from now on. */
  readmit(backend: BackendState, course: Course, cause: Transition['cause'], failuresLeft: number): void {
    const now = this.#options.clock.monoUs()
    const { failures, successes, outSinceUs } = course
    this.#serve(course, now)
    course.freshUs = now
    course.failures = failuresLeft
    this.#move(backend, 'ok', { cause, failures, successes }, now - outSinceUs)
  }

  /** Takes in that a request ended, however it did. */
  ended(backend: BackendState, course: Course, startUs: number): void {
    if (backend.passive === 'trial' && startUs < course.roomUs && backend.stale > 0) backend.stale--
  }

  /** Why somebody who is out must come back now, if so. */
  get lack(): 'last-eligible' | 'ejection-cap' | undefined {
    if (this.#out === 0) return undefined
    if (this.#inService <= 0) return 'last-eligible'
    return this.#out > this.#mostOut ? 'ejection-cap' : undefined
  }

  get #inService(): number {
    return this.#options.eligible() - this.#trials
  }

  get #mostOut(): number {
    if (this.#serving < 2) return 0
    const share = Math.floor((this.#serving * (this.#config?.maxEjectedPercent ?? 0)) / 100)
    return Math.min(Math.max(1, share), this.#serving - 1)
  }

  #try(backend: BackendState, course: Course): void {
    const now = this.#options.clock.monoUs()
    const { failures, successes } = course
    course.freshUs = now
    this.#makeRoom(backend, course)
    this.#move(backend, 'trial', { cause: 'ejection-over', failures, successes }, now - course.ejectedAtUs)
  }

  // What is in flight already may last for hours, as upgrades do, and so may the request of the trial itself: it has as long
  // as the first ejection, then one more is let through.
  #makeRoom(backend: BackendState, course: Course): void {
    backend.stale = backend.inFlight
    course.roomUs = this.#options.clock.monoUs()
    course.timer = this.#options.clock.after(this.#config!.ejectionMs, () => {
      this.#makeRoom(backend, course)
      this.#options.onRoom()
    })
  }

  #serve(course: Course, now: number): void {
    course.timer?.cancel()
    course.timer = undefined
    course.inServiceSinceUs = now
  }

  #move(backend: BackendState, to: BackendState['passive'], why: Why, downtimeUs?: number): void {
    const from = backend.passive
    backend.passive = to
    if (to !== 'trial') backend.stale = 0
    this.#options.onTransition({ backend, axis: 'passive', from, to, ...why, downtimeUs })
  }
}

/** Whether nothing but an ejection could keep it out of the traffic. */
export const couldServe = ({ admin, active, config, copiesOnly, noShare }: BackendState): boolean =>
  admin === 'ready' && active !== 'unhealthy' && config.weight > 0 && !copiesOnly && !noShare
