// The turns of a rotation: each backend's next one, in a heap by when it is due.
import type { BackendState } from '../../backend.ts'
import type { Draft } from '../../strategy.ts'

/**
 * When a backend is next, in ticks. Its turns lie `gap` ticks apart, and `rest` of `count` times one more: any `count` of
 * them in a row take one cycle exactly, without a fraction that could be lost. Written by the rotation.
 */
export interface Turn {
  readonly backend: BackendState
  time: number
  /** Which comes first of two that are due at the same time: the lesser. */
  serial: number
  gap: number
  rest: number
  count: number
  /** How much of the next odd tick has come together, in parts of `count`. */
  part: number
}

const isBefore = (a: Turn, b: Turn): boolean => a.time < b.time || (a.time === b.time && a.serial < b.serial)

/** Moves on to the turn after this one. */
export function advance(turn: Turn): void {
  turn.time += turn.gap
  turn.part += turn.rest
  if (turn.part < turn.count) return
  turn.part -= turn.count
  turn.time++
}

/** A binary heap of turns. Nothing but `fill` allocates. */
export class Turns {
  #heap: Turn[] = []

  /** Takes the turns in the order in which they are due. */
  fill(ordered: Turn[]): void {
    this.#heap = ordered
  }

  [Symbol.iterator](): Iterator<Turn> {
    return this.#heap.values()
  }

  at(index: number): Turn | undefined {
    return this.#heap[index]
  }

  /** The index of the earliest turn whose backend is admitted, -1 if there is none. Looks only at those before it, and beside them. */
  earliest(draft: Draft, index = 0, best = -1): number {
    const turn = this.#heap[index]
    if (turn === undefined || (best !== -1 && !isBefore(turn, this.#heap[best]!))) return best
    if (draft.admits(turn.backend)) return index
    return this.earliest(draft, 2 * index + 2, this.earliest(draft, 2 * index + 1, best))
  }

  /** Must be called when the turn at `index` has become a later one. */
  sink(index: number): void {
    const heap = this.#heap
    const turn = heap[index]!
    let hole = index
    for (let child = 2 * hole + 1; child < heap.length; child = 2 * hole + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, turn)) break
      heap[hole] = heap[child]!
      hole = child
    }
    heap[hole] = turn
  }
}
