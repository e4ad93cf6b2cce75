// The state of a balancer at one moment, for people and dashboards.
import type { ActiveState, AdminState, BackendState, PassiveState } from '../backend.ts'
import type { ExclusionReason } from '../decision.ts'
import type { Snapshot } from './pool.ts'

export interface BackendSnapshot {
  readonly id: string
  readonly url: string
  readonly weight: number
  readonly zone?: string
  /** Whether it gets new picks; if not, why. */
  readonly eligible: boolean
  readonly excluded?: ExclusionReason
  readonly admin: AdminState
  readonly active: ActiveState
  readonly passive: PassiveState
  readonly inFlight: number
  /** Picks and failures since it joined. */
  readonly picks: number
  readonly failures: number
}

export interface BalancerSnapshot {
  readonly name: string
  readonly state: 'open' | 'closing' | 'closed'
  readonly revision: number
  /** SHA-256 of the configuration in force. */
  readonly hash: string
  readonly strategy: string
  /** Open requests and leases. */
  readonly inFlight: number
  readonly backends: readonly BackendSnapshot[]
}

export function backendSnapshots(states: readonly BackendState[], snapshot: Snapshot): BackendSnapshot[] {
  return states.map(({ config, admin, active, passive, inFlight, picks, failures }) => {
    const { id, url, weight, zone } = config
    const excluded = snapshot.excluded.find((exclusion) => exclusion.backend === id)?.reason
    return {
      id,
      url,
      weight,
      ...(zone === undefined ? {} : { zone }),
      eligible: excluded === undefined,
      ...(excluded === undefined ? {} : { excluded }),
      admin,
      active,
      passive,
      inFlight,
      picks,
      failures,
    }
  })
}
