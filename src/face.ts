// The face of a balancer: what its host and its adapters can do with it.
import type { Audit, AuditClosed } from './audit/audit.ts'
import type { CloseOptions } from './clock.ts'
import type { PoolChanges } from './config.ts'
import type { Operator } from './control/operator.ts'
import type { Lease } from './decision.ts'
import type { Actor } from './event-parts.ts'
import type { AdapterPort } from './proxy/ports.ts'
import type { PickRequest } from './request.ts'
import type { BalancerSnapshot } from './routing/snapshot.ts'

export interface Balancer {
  readonly name: string
  /**
   * The trail. Events that are recorded through it carry this balancer's pool and revision. One that was given to the balancer is closed
   * by whoever made it: this `close` then rejects with `config-invalid`.
   */
  readonly audit: Audit
  /** For adapters. */
  readonly port: AdapterPort
  /** Picks a backend for a hop that the caller makes. Never throws; `lease.backend` is undefined when nobody is eligible. */
  pick(request?: PickRequest): Lease
  /** The changes that this actor can ask for. Throws `config-invalid` if it is no actor. */
  as(actor: Actor): Operator<PoolChanges>
  snapshot(): BalancerSnapshot
  /**
   * Resolves once every sink is open and each source of discovery has answered (or 10 s are over); rejects with what is wrong,
   * also if nobody was discovered and nobody else is in the pool. Requests and picks work before.
   */
  ready(): Promise<void>
  /**
   * Takes no new requests (503), lets what is in flight finish for at most `deadlineMs` (default 10,000; `Infinity`
   * waits as long as it takes), cuts off the rest, and closes the trail if it is the balancer's own. A second call waits for the first.
   */
  close(options?: CloseOptions): Promise<AuditClosed>
}
