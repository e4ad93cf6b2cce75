// What the hop gets from the other parts of a balancer.
import { compileTrust, type TrustConfig } from './access/trust.ts'
import type { Trail } from './audit/trail.ts'
import type { BackendState } from './backend.ts'
import type { Clock } from './clock.ts'
import type { PoolConfig } from './config.ts'
import { reasonOf } from './errors.ts'
import { type Emit, type EventFields, unrecorded } from './events.ts'
import type { Ending } from './outcome.ts'
import type { HopParts } from './proxy/hop.ts'
import { type Random, randomHex } from './random.ts'
import { ownCookieOf } from './routing/affinity.ts'
import { Further } from './routing/further.ts'
import type { Router } from './routing/router.ts'
import type { Transports } from './transports/transports.ts'

export interface HopSources {
  readonly clock: Clock
  readonly random: Random
  readonly router: Router
  readonly trail: Trail
  readonly transports: Transports
  readonly emit: Emit
  /** The configuration in force. */
  config(): PoolConfig
  stamp(): ReturnType<HopParts['stamp']>
  release(backend: BackendState, ending: Ending): void
  denies(address: string): string | undefined
  denied(fields: EventFields<'access.denied'>): void
  closing(): boolean
}

export function hopParts(sources: HopSources): HopParts {
  const { clock, random, router, trail, transports, emit, config } = sources
  const { inFlight, room } = router
  return {
    clock,
    random,
    emit,
    room,
    via: `auditlb-${randomHex(4)}`,
    pick: (request, tried, turn) => router.pick(request, tried, turn),
    bind: (request, pick) => router.bind(request, pick),
    ownCookie: () => ownCookieOf(config().affinity),
    pickMirror: () => router.pickMirror(),
    take: (backend) => inFlight.take(backend),
    release: sources.release,
    opened: () => inFlight.opened(),
    closed: () => inFlight.closed(),
    further: new Further(clock, config),
    transport: () => transports.current,
    mirror: () => config().mirror,
    upgrades: () => config().upgrades,
    timeouts: () => config().timeouts,
    outgoing: config,
    trust: madeOf(
      () => config().trustProxy,
      (given) => trustOf(given, (error) => trail.tellOnce('trustProxy', reasonOf(error))),
    ),
    limits: () => config().limits,
    denies: sources.denies,
    denied: sources.denied,
    closing: sources.closing,
    stamp: sources.stamp,
    redactor: trail.extent.redactor,
    levelOf: trail.extent.levelOf,
    enrich: trail.extent.enrich,
    log: {
      get waits() {
        return trail.waitsForDisk
      },
      refuses: trail.whenUnavailable === 'refuse',
      recordable: () => trail.obstacle('traffic') === undefined,
      durable: (ticket) => (ticket === unrecorded ? Promise.resolve() : trail.durable(ticket)),
    },
  }
}

/** What is made of a part of the configuration: anew when that part is another one. */
function madeOf<P, M>(part: () => P, make: (part: P) => M): () => M {
  let last: { readonly of: P; readonly made: M } | undefined
  return () => {
    const of = part()
    if (last === undefined || last.of !== of) last = { of, made: make(of) }
    return last.made
  }
}

function trustOf(config: TrustConfig, onFault: (error: unknown) => void) {
  const trusts = compileTrust(config, onFault)
  return trusts === undefined || config === false ? undefined : { trusts, header: config.header }
}
