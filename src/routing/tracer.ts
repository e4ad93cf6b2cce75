// Traces: what a sampled pick went by.
import { type BackendState, loadOf } from '../backend.ts'
import type { Json } from '../canonical.ts'
import type { Trace, TracedCandidate } from '../decision.ts'
import type { Random } from '../random.ts'
import type { Draft, Tracer } from '../strategy.ts'

/** How large a pool is kept whole: as much as a line holds with room to spare. */
const mostTraced = 512

/** Watches one pick: hands out what chance gives, and takes down what was compared. */
export class PickTracer implements Tracer, Random {
  readonly #random: Random
  readonly #draws: number[] = []
  readonly #compared: { backend: string; score: number }[] = []
  readonly #pool: TracedCandidate[] | undefined
  readonly #options: Json | undefined
  #hash: number | undefined

  /** Must be made before the pick, which changes what a strategy remembers. */
  constructor(
    memory: readonly number[] | undefined,
    options: Json | undefined,
    candidates: readonly BackendState[],
    draft: Pick<Draft, 'admits'>,
    random: Random,
  ) {
    this.#random = random
    this.#options = options
    if (candidates.length > mostTraced) return
    this.#pool = candidates.map((candidate, i) => ({
      backend: candidate.config.id,
      handicap: candidate.handicap === 0 ? undefined : candidate.handicap,
      load: loadOf(candidate),
      memory: integerOf(memory?.[i]),
      open: draft.admits(candidate),
      weight: candidate.weight,
    }))
  }

  uint32(): number {
    const draw = this.#random.uint32()
    this.#draws.push(draw)
    return draw
  }

  compared(candidate: BackendState, score: number): void {
    const integer = integerOf(score)
    if (integer === undefined || this.#compared.length === mostTraced) return
    this.#compared.push({ backend: candidate.config.id, score: integer })
  }

  hashed(hash: number): void {
    this.#hash = hash >>> 0
  }

  get trace(): Trace {
    return {
      compared: this.#compared,
      draws: this.#draws,
      hash: this.#hash,
      options: this.#options,
      pool: this.#pool,
    }
  }
}

/** A line holds integers only, and a strategy of the user's own may give anything: fractions are rounded, what is no number is left out. */
function integerOf(value: unknown): number | undefined {
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined
  return Math.round(Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value)))
}
