// The weighted draw: a candidate, and a second one that is another, each by its weight among those that may be taken.
import type { BackendState } from '../../backend.ts'
import { below, type Random } from '../../random.ts'
import type { Draft } from '../../strategy.ts'

const whole = 0x1_0000_0000

/**
 * How often a draw that hit somebody who may not be taken is done again before the rest is drawn from exactly. Both ways give
 * the same distribution: the bound only keeps the work small where one backend has nearly all the weight, or few are admitted.
 */
const tries = 4

/**
 * Draws by the alias method (A. J. Walker, 1977; tables as M. D. Vose, 1991) in constant time for any number of candidates.
 * A draw takes one uint32, so a share is exact to 2⁻³² of all. Neither draw allocates. Where everybody is admitted, draws lead to the same whether the draft says so or not,
 * for a replay knows only who was.
 */
export class WeightedDraw {
  #size = 0
  #even = true
  /** Of each column, the part in 2³² that is its own; the rest is its alias's. Written by rebuild, as are the others. */
  #cutoffs = new Float64Array(0)
  #aliases = new Uint32Array(0)
  #sums = new Float64Array(0)

  /** Must be called with each new list, and whenever a weight in it has changed: O(n). */
  rebuild(candidates: readonly BackendState[]): void {
    const size = candidates.length
    const sums = new Float64Array(size)
    let total = 0
    for (let i = 0; i < size; i++) {
      total += candidates[i]!.weight
      sums[i] = total
    }
    this.#size = size
    this.#sums = sums
    this.#even = candidates.every(({ weight }) => weight === candidates[0]!.weight)
    this.#fill(candidates, total)
  }

  /** The index of one that is admitted, drawn by weight; -1 if nobody is. */
  first(candidates: readonly BackendState[], draft: Draft): number {
    if (this.#size === 0) return -1
    if (!draft.restricted) return this.#size === 1 ? 0 : this.#draw(draft.random)
    for (let i = 0; i < tries; i++) {
      const index = this.#draw(draft.random)
      if (draft.admits(candidates[index]!)) return index
    }
    return drawOfRest(candidates, draft, -1)
  }

  /** The index of another one that is admitted, drawn by weight among all but `first`; -1 if there is none. */
  second(candidates: readonly BackendState[], draft: Draft, first: number): number {
    if (this.#size < 2) return -1
    for (let i = 0; i < tries; i++) {
      const index = this.#even ? besides(first, below(draft.random, this.#size - 1)) : this.#draw(draft.random)
      if (index !== first && (!draft.restricted || draft.admits(candidates[index]!))) return index
    }
    return draft.restricted ? drawOfRest(candidates, draft, first) : this.#drawBeside(draft.random, first)
  }

  #draw(random: Random): number {
    if (this.#even) return below(random, this.#size)
    const scaled = random.uint32() * this.#size
    const column = Math.floor(scaled / whole)
    return scaled - column * whole < this.#cutoffs[column]! ? column : this.#aliases[column]!
  }

  /** One draw over what is left of the running sums when the share of `index` is cut out. */
  #drawBeside(random: Random, index: number): number {
    const sums = this.#sums
    const start = index === 0 ? 0 : sums[index - 1]!
    const width = sums[index]! - start
    const rest = below(random, sums[sums.length - 1]! - width)
    const point = rest < start ? rest : rest + width
    let low = 0
    let high = sums.length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (sums[middle]! > point) high = middle
      else low = middle + 1
    }
    return low
  }

  // Every column is as high as the mean weight. Counted in units of a weight over n, all of it is integers.
  #fill(candidates: readonly BackendState[], total: number): void {
    const size = candidates.length
    const cutoffs = new Float64Array(size).fill(whole)
    const aliases = Uint32Array.from(candidates, (_, i) => i)
    const heights = Float64Array.from(candidates, ({ weight }) => weight * size)
    const low: number[] = []
    const high: number[] = []
    heights.forEach((height, i) => {
      if (height !== total) (height < total ? low : high).push(i)
    })
    while (low.length > 0 && high.length > 0) {
      const short = low.pop()!
      const tall = high[high.length - 1]!
      cutoffs[short] = Math.round((heights[short]! / total) * whole)
      aliases[short] = tall
      const left = heights[tall]! - (total - heights[short]!)
      heights[tall] = left
      if (left > total) continue
      high.pop()
      if (left < total) low.push(tall)
    }
    this.#cutoffs = cutoffs
    this.#aliases = aliases
  }
}

const besides = (first: number, index: number): number => (index < first ? index : index + 1)

/** One draw by weight over all that are admitted but the one at `except`, in two passes; -1 if there is nobody. */
function drawOfRest(candidates: readonly BackendState[], draft: Draft, except: number): number {
  let total = 0
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i]!
    if (i !== except && draft.admits(candidate)) total += candidate.weight
  }
  if (total === 0) return -1
  let point = below(draft.random, total)
  for (let i = 0; i < candidates.length; i++) {
    const candidate = candidates[i]!
    if (i === except || !draft.admits(candidate)) continue
    point -= candidate.weight
    if (point < 0) return i
  }
  return -1
}
