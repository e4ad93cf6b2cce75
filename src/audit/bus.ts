// The bus: hands each event to whoever listens, and lets no listener do harm.
import EventEmitter from 'eventemitter3'
import { reasonOf } from '../errors.ts'
import type { AuditEvent, EventName } from '../events.ts'
import type { Logger } from '../runtime.ts'

/** Gets one redacted, frozen event, in the turn in which it was observed. A listener that blocks the thread blocks it. */
export type Listener<N extends EventName> = (event: AuditEvent<N>) => unknown

type Any = (event: AuditEvent) => unknown

/**
 * Events reach listeners in the order in which they were emitted, those of one name before those of `*`. But an event that a
 * listener itself records reaches them all at once, and so before the listeners that have not yet heard the one that it heard.
 * What a listener throws, or what its promise rejects with, is told to the logger once per listener, and changes nothing else.
 */
export class Bus {
  readonly #emitter = new EventEmitter()
  readonly #logger: Logger
  readonly #wrapped = new Map<string, Map<Any, Any>>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** Hears every event of this name, `*` all events. The same listener is added only once. */
  on<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    const known = this.#wrapped.get(name) ?? new Map<Any, Any>()
    this.#wrapped.set(name, known)
    if (known.has(listener as Any)) return
    const guarded = this.#guard(name, listener as Any)
    known.set(listener as Any, guarded)
    this.#emitter.on(name, guarded)
  }

  off<N extends EventName>(name: N | '*', listener: Listener<N>): void {
    const guarded = this.#wrapped.get(name)?.get(listener as Any)
    if (guarded === undefined) return
    this.#wrapped.get(name)!.delete(listener as Any)
    this.#emitter.off(name, guarded)
  }

  /** Hands out the members that the line has, in a frozen object that nobody else holds. Never throws. */
  publish(event: AuditEvent): void {
    if (!this.#hears(event.event_name)) return
    let copy: AuditEvent
    try {
      copy = freeze(JSON.parse(JSON.stringify(event)) as AuditEvent)
    } catch (error) {
      // What no line can hold, no listener can get. The logger hears of the line, too.
      this.#logger.error({ event: event.event_name, error: reasonOf(error) }, 'listeners do not get an event')
      return
    }
    this.#emitter.emit(copy.event_name, copy)
    this.#emitter.emit('*', copy)
  }

  /** Whether anybody hears events of this name: without one, an event need not be frozen. */
  #hears(name: EventName): boolean {
    return this.#emitter.listenerCount(name) > 0 || this.#emitter.listenerCount('*') > 0
  }

  #guard(name: string, listener: Any): Any {
    let told = false
    const fault = (error: unknown): void => {
      if (told) return
      told = true
      this.#logger.error({ event: name, error: reasonOf(error) }, 'an audit listener failed; told once')
    }
    return (event) => {
      try {
        const result = listener(event)
        if (result instanceof Promise) result.catch(fault)
      } catch (error) {
        fault(error)
      }
    }
  }
}

/** Freezes an event with all that is in it: listeners share it. */
function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  Object.freeze(value)
  for (const inner of Object.values(value)) freeze(inner)
  return value
}
