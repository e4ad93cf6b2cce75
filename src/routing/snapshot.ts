// The state of a balancer at one moment, for people and dashboards.
import type { ActiveState, AdminState, BackendState, CapacityState, PassiveState } from '../backend.ts'
import type { ExclusionReason } from '../decision.ts'
import type { Snapshot } from './pool.ts'

export interface BackendSnapshot {
  readonly id: string
  readonly url: string
  readonly weight: number
  readonly priority: number
  readonly zone?: string
  readonly group?: string
  readonly maxInFlight?: number
  /** Where discovery found it; absent where configuration has it. */
  readonly source?: string
  /** Whether it gets new picks; if not, why. */
  readonly eligible: boolean
  readonly excluded?: ExclusionReason
  readonly admin: AdminState
  readonly active: ActiveState
  readonly passive: PassiveState
  readonly capacity: CapacityState
  /** How much of its weight it gets, in permille: less than 1,000 while it starts slowly. */
  readonly ramp: number
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
  /** Tunnels that are open: requests that have switched to another protocol, each of them in flight. */
  readonly tunnels: number
  /** Requests that wait for a backend with room. */
  readonly waiting: number
  /** Whether health is left out of account. */
  readonly panic: boolean
  readonly backends: readonly BackendSnapshot[]
}

export function backendSnapshots(
  states: readonly BackendState[],
  snapshot: Snapshot,
  sourceOf: (id: string) => string | undefined,
): BackendSnapshot[] {
  const out = new Map(snapshot.excluded.map(({ backend, reason }) => [backend, reason]))
  return states.map(({ config, admin, active, passive, capacity, ramp, inFlight, picks, failures }) => {
    const { id, url, weight, priority, zone, group, maxInFlight } = config
    const excluded = out.get(id)
    const source = sourceOf(id)
    return {
      id,
      url,
      weight,
      priority,
      ...(zone === undefined ? {} : { zone }),
      ...(group === undefined ? {} : { group }),
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
      ...(source === undefined ? {} : { source }),
      eligible: excluded === undefined,
      ...(excluded === undefined ? {} : { excluded }),
      admin,
      active,
      passive,
      capacity,
      ramp,
      inFlight,
      picks,
      failures,
    }
  })
}
