// The waiting room: requests for which every backend is full wait here for room, in the order in which they came.
import { z } from 'zod'
import { type BackendState, hasRoom } from '../backend.ts'
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
  /** Those that have room again and were not offered yet; or that all are to be offered anew. */
  readonly #freed = new Set<BackendState>()
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
   * Must be called with each backend that was full and has room, and without one after whatever else can let one that waits
   * have a backend: a join, a change of health or of a limit. Who waits picks once the present turn is over, or before, with
   * `offer`: who calls may be in the midst of a change.
   */
  wake(backend?: BackendState): void {
    if (this.#waiting.size === 0) return
    const scheduled = this.#isPending
    if (backend === undefined) this.#changed = true
    else this.#freed.add(backend)
    if (!scheduled) queueMicrotask(() => this.offer())
  }

  /**
   * Must be called before a newcomer picks: what came free goes to those who wait first. Room that was there before suits
   * nobody who waits: only what is new needs to be asked for, or all of them would pick at each release.
   */
  offer(): void {
    if (!this.#isPending || this.#offering) return
    this.#offering = true
    // Whom one that is seated makes fail can free room again, which those before it were not offered.
    while (this.#isPending) {
      const freed = [...this.#freed]
      const isLeft = this.#changed ? this.#options.hasRoom : () => freed.some(hasRoom)
      this.#freed.clear()
      this.#changed = false
      for (const place of this.#waiting) {
        if (!isLeft()) break
        place.seat()
      }
    }
    this.#offering = false
  }

  get #isPending(): boolean {
    return this.#changed || this.#freed.size > 0
  }

  /** Refuses all who wait. */
  close(): void {
    for (const place of [...this.#waiting]) place.fail('closing')
  }
}
