// round-robin: each in turn, in proportion to the weights and evenly interleaved.
import type { BackendState } from '../backend.ts'
import { below, type Random } from '../random.ts'
import type { Draft, Strategy, StrategyDefinition } from '../strategy.ts'
import { isOnlyEligible } from './draw/only.ts'
import { waysAtStart } from './rotation/start.ts'
import { advance, type Turn, Turns } from './rotation/turns.ts'

/** Ticks between two turns of a weight of 1. The greatest weight, 65,535,000, still has more than 2¹⁸ between two of its own. */
const span = 2 ** 44
/** When the count of ticks starts anew, in good time before integers end at 2⁵³. */
const lastTick = 2 ** 52
/** Steps in which the random place of a newcomer is drawn. */
const steps = 2 ** 20

/**
 * Weighted round-robin by earliest deadline: who is due next is taken, and due again after a gap of one over its weight.
 * O(log n) a pick; who may not be taken now costs a look.
 *
 * One rule makes any Σw picks in a row exact, whoever may be taken meanwhile: after each pick, the next turn of each is ahead
 * of it, and the one before it is not. Any `count` gaps of a backend are one cycle, so in the cycle ahead each has exactly
 * `count` turns. Whose turn went by while it could not be taken is next as soon as it can, and counts its gaps from there:
 * it has lost nothing but what it could not take, and has nothing to catch up on.
 */
class RoundRobin implements Strategy {
  readonly name = 'round-robin'
  readonly #random: Random
  readonly #turns = new Turns()
  /** By identity, so that a place in the rotation survives every change of the pool. */
  #known = new WeakMap<BackendState, Turn>()
  /** Where the rotation is: time and serial of the turn that was taken last. */
  #now = 0
  #serial = 0
  #lastSerial = 0

  constructor(random: Random) {
    this.#random = random
  }

  /** Keeps how much of the way to its turn each has left. One that comes new is put at a random part of the way. */
  rebuild(candidates: readonly BackendState[]): void {
    if (candidates.length === 0) return this.#turns.fill([])
    const divisor = candidates.reduce((all, { weight }) => greatestCommonDivisor(all, weight), 0)
    const cycle = Math.floor(span / divisor)
    const ways = candidates.some((candidate) => this.#known.has(candidate))
      ? candidates.map((candidate) => this.#wayTo(this.#known.get(candidate)))
      : waysAtStart(candidates, divisor, this.#random)
    const turns = candidates.map((backend, i) => {
      const known = this.#known.get(backend)
      const count = backend.weight / divisor
      const gap = Math.floor(cycle / count)
      // Always short of the whole gap: the turn before it must be past, even where another one is due right now.
      const time = this.#now + Math.ceil(ways[i]! * (gap - 1))
      const turn = { backend, time, serial: known?.serial ?? 0, gap, rest: cycle - gap * count, count, part: 0 }
      this.#known.set(backend, turn)
      return turn
    })
    this.#order(turns)
  }

  pick(candidates: readonly BackendState[], draft: Draft): BackendState | undefined {
    for (;;) {
      const index = draft.restricted ? this.#turns.earliest(draft) : 0
      const turn = this.#turns.at(index)
      if (turn === undefined) return undefined
      if (this.#isPast(turn)) {
        turn.time = this.#now
        turn.serial = ++this.#lastSerial
        this.#turns.sink(index)
        continue
      }
      const isOnly = isOnlyEligible(candidates, draft, turn.backend)
      draft.reason = isOnly ? 'only-eligible' : 'next-in-rotation'
      if (draft.trace !== undefined && !isOnly) this.#trace(candidates, draft)
      this.#now = turn.time
      this.#serial = turn.serial
      advance(turn)
      this.#turns.sink(index)
      if (this.#now > lastTick) this.#rewind()
      return turn.backend
    }
  }

  /** The place of each in the order in which they would be taken. */
  memory(candidates: readonly BackendState[]): number[] {
    const order = candidates.map((candidate) => this.#known.get(candidate)!).sort((a, b) => this.#compare(a, b))
    const places = new Map(order.map((turn, place) => [turn.backend, place]))
    return candidates.map((candidate) => places.get(candidate)!)
  }

  recall(candidates: readonly BackendState[], memory: readonly number[]): void {
    const turns = candidates.map((candidate) => this.#known.get(candidate)!)
    turns.forEach((turn, i) => {
      turn.time = this.#now
      turn.serial = memory[i] ?? 0
    })
    this.#order(turns)
  }

  /** The part of its gap that it still has to go: 0 if its turn has come while it was not there. */
  #wayTo(known: Turn | undefined): number {
    if (known === undefined) return below(this.#random, steps) / steps
    return Math.min(1, Math.max(0, (known.time - this.#now) / known.gap))
  }

  /** All turns must be at `now` or later, for from here on none is past. */
  #order(turns: Turn[]): void {
    turns.sort((a, b) => a.time - b.time || a.serial - b.serial)
    turns.forEach((turn, i) => {
      turn.serial = i + 1
    })
    this.#serial = 0
    this.#lastSerial = turns.length
    this.#turns.fill(turns)
  }

  #isPast({ time, serial }: Turn): boolean {
    return time < this.#now || (time === this.#now && serial < this.#serial)
  }

  /** Less than 0 if `a` would be taken before `b`: whose turn is past comes after who is due right now. */
  #compare(a: Turn, b: Turn): number {
    const due = Math.max(a.time, this.#now) - Math.max(b.time, this.#now)
    return due || Number(this.#isPast(a)) - Number(this.#isPast(b)) || a.time - b.time || a.serial - b.serial
  }

  #trace(candidates: readonly BackendState[], draft: Draft): void {
    for (const candidate of candidates) {
      if (draft.restricted && !draft.admits(candidate)) continue
      draft.trace?.compared(candidate, Math.max(0, this.#known.get(candidate)!.time - this.#now))
    }
  }

  /** Whoever is away at this moment, once in 2⁵² ticks, counts as new when it comes back. */
  #rewind(): void {
    this.#known = new WeakMap()
    for (const turn of this.#turns) {
      turn.time -= this.#now
      this.#known.set(turn.backend, turn)
    }
    this.#now = 0
  }
}

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b))

export const roundRobin = {
  name: 'round-robin',
  create: ({ random }) => new RoundRobin(random),
} as const satisfies StrategyDefinition
