// What a rotation must keep: the same counts in every window of picks, and where that is looked at from.
import type { BackendState } from '../../src/backend.ts'
import type { Random } from '../../src/random.ts'
import { roundRobin } from '../../src/strategies/round-robin.ts'
import type { Strategy } from '../../src/strategy.ts'
import { masked, masks } from '../contracts/strategy.ts'
import { draftOf, made } from './pool.ts'

export const sumOf = (states: readonly BackendState[]): number =>
  states.reduce((sum, { config }) => sum + config.weight, 0)

/** The windows of Σw picks in a row, of all that there are, in which somebody has not exactly its weight. */
export function uneven(picks: readonly (BackendState | undefined)[], candidates: readonly BackendState[]): number {
  const width = sumOf(candidates)
  const off = new Map(candidates.map((candidate) => [candidate, -candidate.config.weight]))
  let wrong = candidates.length
  const count = (picked: BackendState, by: number): void => {
    const before = off.get(picked) ?? Number.NaN
    off.set(picked, before + by)
    if (before === 0) wrong++
    else if (before + by === 0) wrong--
  }
  let bad = 0
  picks.forEach((picked, i) => {
    count(picked!, 1)
    if (i >= width) count(picks[i - width]!, -1)
    if (i >= width - 1 && wrong > 0) bad++
  })
  return bad
}

/** A round-robin over these, started. */
export function rotation(states: readonly BackendState[], random: Random): Strategy {
  const strategy = made(roundRobin, random)
  strategy.rebuild?.(states)
  return strategy
}

export const takes = (
  strategy: Strategy,
  candidates: readonly BackendState[],
  times: number,
  admitted?: readonly BackendState[],
): (BackendState | undefined)[] => {
  const draft = draftOf(undefined, admitted)
  return Array.from({ length: times }, () => strategy.pick(candidates, draft))
}

/**
 * The uneven windows of two cycles under each of the 2ⁿ−1 masks, one after the other: as lists of their own, and as what a
 * draft admits of the whole list. Goes through the masks in an order that `random` gives, without a pause between them.
 */
export function unevenUnderMasks(states: readonly BackendState[], random: Random): { lists: number; drafts: number } {
  const order = masks(states.length)
    .map((mask) => [random.uint32(), mask] as const)
    .sort(([a], [b]) => a - b)
    .map(([, mask]) => masked(states, mask))
  const all = rotation(states, random)
  const changing = rotation(states, random)
  let lists = 0
  let drafts = 0
  for (const members of order) {
    const times = 2 * sumOf(members) + 1
    lists += uneven(takes(rotation(members, random), members, times), members)
    changing.rebuild?.(members)
    lists += uneven(takes(changing, members, times), members)
    drafts += uneven(takes(all, states, times, members), members)
    // Some picks that may take anybody, for the next mask to begin anywhere.
    takes(all, states, random.uint32() % 7)
  }
  return { lists, drafts }
}
