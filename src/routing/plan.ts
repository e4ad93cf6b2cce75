// The plan of a snapshot: which lists of candidates there are, and what share of the requests falls to each.
import { z } from 'zod'
import type { Backend, BackendState } from '../backend.ts'
import type { Exclusion, ExclusionReason } from '../decision.ts'
import { below, type Random } from '../random.ts'

/** The part of backends that name no group. */
const unnamed = 'default'

export const splitSchema = z
  .record(z.string().min(1), z.int().min(0).max(1_000_000))
  .refine((shares) => Object.values(shares).some((share) => share > 0), 'expected at least one share above 0')

export const localitySchema = z.strictObject({
  /** The zone to prefer: the balancer's own. Default none. */
  zone: z.string().min(1).optional(),
  /**
   * How much of a level or zone may be out before part of its traffic goes to the next, in percent: at 140 it keeps all of it
   * while at least 1/1.4 of its weight is eligible, and below that 1.4 times the eligible share. Default 140 (Envoy's
   * overprovisioning factor).
   */
  overprovisionPercent: z.int().min(100).max(1000).default(140),
})

/** Whether its group gets any of the traffic. */
export const hasShare = ({ group = unnamed }: Backend, split: PlanRules['split']): boolean =>
  split === undefined || (Object.hasOwn(split, group) && split[group]! > 0)

/** What shares traffic out before a strategy chooses. */
export interface PlanRules {
  readonly split?: Readonly<Record<string, number>> | undefined
  readonly locality: z.output<typeof localitySchema>
}

/** One list that a strategy chooses from. */
export interface Tier {
  /** Names the list for as long as there is one like it. */
  readonly key: string
  readonly group: string | undefined
  readonly candidates: readonly BackendState[]
  /** Everybody else, and why. */
  readonly excluded: readonly Exclusion[]
  readonly priority: number | undefined
  readonly zone: 'local' | 'spilled' | undefined
  /** Parts of 1,000 of the group's requests that fall to it. */
  readonly share: number
}

/** One part of `split`, or all there is. */
export interface Part {
  readonly group: string | undefined
  readonly share: number
  readonly tiers: readonly Tier[]
}

/** Those who can get traffic at all, and which of them are eligible now. */
export interface Standing {
  readonly backend: BackendState
  /** Why it is not eligible; undefined if it is. */
  readonly out: ExclusionReason | undefined
}

/**
 * Levels take what they have capacity for, one after the other: the share that a level keeps is its eligible weight over its
 * whole weight, times the overprovisioning (after Envoy). Within a level the preferred zone does likewise. Where all together
 * lack capacity, each keeps its part in proportion.
 */
export function planOf(standings: readonly Standing[], mirrored: readonly Exclusion[], rules: PlanRules): Part[] {
  const groups = rules.split === undefined ? [[undefined, 1] as const] : Object.entries(rules.split)
  return groups
    .map(([group, share]) => {
      const isMember = ({ backend }: Standing): boolean =>
        group === undefined || (backend.config.group ?? unnamed) === group
      const tiers = tiersOf(standings.filter(isMember), rules).map((draft) => ({
        group,
        key: `${group ?? ''} ${draft.priority} ${draft.isLocal}`,
        candidates: Object.freeze(draft.members.filter(isEligible).map(({ backend }) => backend)),
        excluded: Object.freeze([...mirrored, ...exclusionsFrom(draft, standings, group)]),
        priority: draft.isLone ? undefined : draft.priority,
        zone: rules.locality.zone === undefined ? undefined : draft.isLocal ? ('local' as const) : ('spilled' as const),
        share: draft.share,
      }))
      return { group, share, tiers }
    })
    .filter(({ tiers }) => tiers.length > 0)
}

interface Draft {
  readonly members: readonly Standing[]
  readonly priority: number
  /** Whether there is no other level. */
  readonly isLone: boolean
  readonly isLocal: boolean
  readonly share: number
}

function tiersOf(members: readonly Standing[], { locality }: PlanRules): Draft[] {
  const priorities = [...new Set(members.map(({ backend }) => backend.config.priority))].sort((a, b) => a - b)
  const isLone = priorities.length === 1
  const drafts: Draft[] = []
  let left = 1000
  for (const priority of priorities) {
    const level = members.filter(({ backend }) => backend.config.priority === priority)
    const share = Math.min(left, capacityOf(level, locality.overprovisionPercent))
    left -= share
    const local = level.filter(({ backend }) => backend.config.zone === locality.zone)
    const others = level.filter(({ backend }) => backend.config.zone !== locality.zone)
    const common = { priority, isLone }
    if (locality.zone === undefined || local.length === 0 || others.length === 0) {
      drafts.push({ ...common, members: level, isLocal: locality.zone === undefined || others.length === 0, share })
      continue
    }
    const keeps = others.some(isEligible) ? capacityOf(local, locality.overprovisionPercent) : 1000
    const kept = Math.round((share * keeps) / 1000)
    drafts.push({ ...common, members: local, isLocal: true, share: kept })
    drafts.push({ ...common, members: others, isLocal: false, share: share - kept })
  }
  return drafts.filter((draft) => draft.members.some(isEligible))
}

const isEligible = ({ out }: Standing): boolean => out === undefined

/** What part of its requests a list can take, in permille. */
function capacityOf(members: readonly Standing[], overprovisionPercent: number): number {
  let whole = 0
  let eligible = 0
  for (const { backend, out } of members) {
    if (backend.config.weight === 0) continue
    whole += backend.config.weight
    if (out === undefined) eligible += backend.config.weight
  }
  return whole === 0 ? 0 : Math.min(1000, Math.floor((eligible * overprovisionPercent * 10) / whole))
}

function exclusionsFrom(draft: Draft, everybody: readonly Standing[], group: string | undefined): Exclusion[] {
  const mine = new Set(draft.members.map(({ backend }) => backend))
  return everybody.flatMap((standing) => exclusionFrom(draft, mine, standing, group))
}

function exclusionFrom(
  draft: Draft,
  mine: ReadonlySet<BackendState>,
  { backend, out }: Standing,
  group: string | undefined,
): Exclusion[] {
  const { id, priority } = backend.config
  const reason =
    out ??
    (group !== undefined && (backend.config.group ?? unnamed) !== group
      ? 'other-group'
      : priority !== draft.priority
        ? 'other-priority'
        : mine.has(backend)
          ? undefined
          : 'other-zone')
  return reason === undefined ? [] : [Object.freeze({ backend: id, reason })]
}

/** Draws one by its share; without any share, the first. Undefined of an empty list. No draw where there is one only. */
export function drawShare<T extends { readonly share: number }>(list: readonly T[], random: Random): T | undefined {
  if (list.length < 2) return list[0]
  let total = 0
  for (const { share } of list) total += share
  if (total === 0) return list[0]
  let point = below(random, total)
  for (const one of list) {
    if (point < one.share) return one
    point -= one.share
  }
  return list[0]
}
