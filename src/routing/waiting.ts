// The waiting room: requests for which every backend is full wait here for room, in the order in which they came.
import { z } from 'zod'
import type { Clock } from '../clock.ts'

export const queueSchema = z.strictObject({
  /** How many requests may wait for a backend with room. 0: none waits. Default 1,000. */
  max: z.int().min(0).max(1_000_000).default(1000),
  /** How long one may wait, in ms. Default 1,000. */
  timeoutMs: z.int().min(1).max(600_000).default(1000),
})
export type QueueConfig = z.output<typeof queueSchema>

/** One that waits. */
export interface Guest {
  /** Picks anew; returns whether it waits no more. Must not throw. */
  seat(): boolean
  /** It waited in vain. */
  fail(result: 'capacity-full' | 'capacity-timeout' | 'closing'): void
}

export interface WaitingRoomOptions {
  readonly config: QueueConfig
  readonly clock: Clock
  /** Whether any candidate has room: if none has, nobody needs to pick. */
  readonly hasRoom: () => boolean
}

/**
 * First come, first served: room that comes free is offered to each who waits, in order, before anybody who comes later can
 * pick. One whom it does not suit (it has tried that backend, or belongs to others) keeps its place, and holds up nobody.
 */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions
  /** In the order in which they came. */
  readonly #waiting = new Set<Guest>()
  #config: QueueConfig
  /** Whether something has changed that those who wait were not offered yet. */
  #changed = false
  #offering = false

  constructor(options: WaitingRoomOptions) {
    this.#options = options
    this.#config = options.config
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** Goes by this configuration from now on; who waits keeps its deadline. */
  configure(config: QueueConfig): void {
    this.#config = config
  }

  /** Lets one wait that has just picked and found everybody full; the function that it returns gives up its place. */
  enter(guest: Guest): () => void {
    if (this.#waiting.size >= this.#config.max) {
      guest.fail('capacity-full')
      return () => undefined
    }
    const leave = (): void => {
      timer.cancel()
      this.#waiting.delete(place)
    }
    const place: Guest = {
      seat: () => {
        const seated = guest.seat()
        if (seated) leave()
        return seated
      },
      fail: (result) => {
        leave()
        guest.fail(result)
      },
    }
    const timer = this.#options.clock.after(this.#config.timeoutMs, () => {
      // What has come free in this very turn is its too.
      this.offer()
      if (this.#waiting.has(place)) place.fail('capacity-timeout')
    })
    this.#waiting.add(place)
    return leave
  }

  /**
   * Must be called after whatever can let one that waits have a backend: a release, a join, a change of health or of a limit.
   * They pick once the present turn is over, or before, with `offer`: who calls may be in the midst of a change.
   */
  wake(): void {
    if (this.#changed || this.#waiting.size === 0) return
    this.#changed = true
    queueMicrotask(() => this.offer())
  }

  /** Must be called before a newcomer picks: what came free goes to those who wait first. */
  offer(): void {
    if (!this.#changed || this.#offering) return
    this.#offering = true
    // Whom one that is seated makes fail can free room again, which those before it were not offered.
    while (this.#changed) {
      this.#changed = false
      for (const place of this.#waiting) {
        if (!this.#options.hasRoom()) break
        place.seat()
      }
    }
    this.#offering = false
  }

  /** Refuses all who wait. */
  close(): void {
    for (const place of [...this.#waiting]) place.fail('closing')
  }
}
