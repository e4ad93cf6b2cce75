// ring: each backend has points on a circle, and a key belongs to the next point.
import { z } from 'zod'
import type { Members, Owners } from './members.ts'

/** The most points of a ring: they take 8 MB, and a fraction of a second to sort. */
export const mostPoints = 1_048_576

export const pointsSchema = z.int().min(1).max(65_536)

/**
 * Consistent hashing (Karger et al., 1997). The points of a backend depend on its own id and weight alone, and those of a
 * lower weight are among those of a higher one: what happens to one backend moves no key between two others. A pick is a
 * binary search.
 */
export class Ring implements Owners {
  /** The points in order, and the member that each belongs to. */
  readonly #points: Uint32Array
  readonly #owners: Uint32Array

  constructor(members: Members, pointsPerWeight: number) {
    const counts = pointCounts(members, pointsPerWeight)
    const points = new Uint32Array(counts.reduce((sum, count) => sum + count, 0))
    const owners = new Uint32Array(points.length)
    let end = 0
    for (let member = 0; member < counts.length; member++) {
      const count = counts[member]!
      owners.fill(member, end, end + count)
      for (let point = 0; point < count; point++) points[end++] = members.mixed(point, member)
    }
    sortTogether(points, owners)
    this.#points = points
    this.#owners = owners
  }

  owner(hash: number): number {
    return this.#owners[this.#next(hash)]!
  }

  score(hash: number): number {
    return this.#points[this.#next(hash)]!
  }

  /** The first point from this hash on. After the last comes the first. */
  #next(hash: number): number {
    const points = this.#points
    const place = hash >>> 0
    let low = 0
    let high = points.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (points[middle]! < place) low = middle + 1
      else high = middle
    }
    return low === points.length ? 0 : low
  }
}

/** How many points each has: in proportion to its weight, at least one; all halved as often as it takes to stay in bounds. */
export function pointCounts({ weights }: Members, pointsPerWeight: number): Uint32Array {
  for (let scale = 1; ; scale *= 2) {
    let sum = 0
    // A weight of 1 counts 1,000 when it does not start slowly.
    const counts = weights.map((weight) => {
      const count = Math.max(1, Math.round((weight * pointsPerWeight) / (1000 * scale)))
      sum += count
      return count
    })
    // Beyond the last scale everybody has one.
    if (sum <= mostPoints || sum === weights.length) return Uint32Array.from(counts)
  }
}

/** Sorts `keys`, and `values` along with them, by 11 bits at a time; equal keys keep their order. */
function sortTogether(keys: Uint32Array, values: Uint32Array): void {
  const { length } = keys
  let fromKeys = keys
  let fromValues = values
  let toKeys: Uint32Array = new Uint32Array(length)
  let toValues: Uint32Array = new Uint32Array(length)
  for (let shift = 0; shift < 32; shift += 11) {
    const ends = new Uint32Array(2049)
    for (let i = 0; i < length; i++) ends[((fromKeys[i]! >>> shift) & 2047) + 1]!++
    for (let i = 0; i < 2048; i++) ends[i + 1]! += ends[i]!
    for (let i = 0; i < length; i++) {
      const key = fromKeys[i]!
      const to = ends[(key >>> shift) & 2047]!++
      toKeys[to] = key
      toValues[to] = fromValues[i]!
    }
    ;[fromKeys, toKeys] = [toKeys, fromKeys]
    ;[fromValues, toValues] = [toValues, fromValues]
  }
  keys.set(fromKeys)
  values.set(fromValues)
}
