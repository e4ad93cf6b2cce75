// The members of an event, as a mapping takes them: what none has taken is left over, and not lost.
import type { LineEvent } from '../../../sink.ts'
import { intAt, textAt, valueAt } from '../facts.ts'

export class Fields {
  readonly event: LineEvent
  readonly #taken = new Set<string>()

  constructor(event: LineEvent) {
    this.event = event
  }

  /** Text at a place such as `http.request.method`, which is taken by that. */
  text(place: string): string | undefined {
    return this.#take(place, textAt(this.event, place))
  }

  int(place: string): number | undefined {
    return this.#take(place, intAt(this.event, place))
  }

  /** An integer of µs, in whole ms. */
  ms(place: string): number | undefined {
    const us = this.int(place)
    return us === undefined ? undefined : Math.floor(us / 1000)
  }

  /** A value of any kind. */
  value(place: string): unknown {
    return this.#take(place, this.look(place))
  }

  /** The same without taking it. */
  look(place: string): unknown {
    return valueAt(this.event, place)
  }

  /** All that was not taken; undefined if nothing is left. */
  rest(): object | undefined {
    return this.#rest(this.event, '') as object | undefined
  }

  #take<T>(place: string, value: T): T {
    if (value !== undefined) this.#taken.add(place)
    return value
  }

  #rest(value: unknown, place: string): unknown {
    if (this.#taken.has(place)) return undefined
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    const kept: Record<string, unknown> = {}
    let some = false
    for (const [key, inner] of Object.entries(value)) {
      const left = this.#rest(inner, place === '' ? key : `${place}.${key}`)
      if (left === undefined) continue
      kept[key] = left
      some = true
    }
    return some ? kept : undefined
  }
}
