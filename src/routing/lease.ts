// Leases: a pick whose hop the caller makes, held until it says how that went.

import type { BackendState } from '../backend.ts'
import type { Clock } from '../clock.ts'
import type { Decision, Lease } from '../decision.ts'
import type { Emit, EventFields, LevelOf, TrafficFacts } from '../events.ts'
import { attemptResults, type Ending } from '../outcome.ts'
import { uniqueId } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Pick } from './picker.ts'

export interface LeasePorts {
  readonly clock: Clock
  readonly emit: Emit
  readonly levelOf: LevelOf | undefined
  take(backend: BackendState): void
  release(backend: BackendState, ending: Ending): void
  /** Binds the client to the backend of this pick: see {@link Lease.setCookie}. */
  bind(pick: Pick): string | undefined
  /** A decision as a line holds it. */
  report(decision: Decision): EventFields<'route.picked'>['lb']['decision']
}

export function openLease(pick: Pick, request: PickRequest, ports: LeasePorts): Lease {
  const { backend, decision } = pick
  const leaseId = uniqueId()
  const address = request?.client?.address
  const client =
    typeof address === 'string'
      ? { client: { address: address.slice(0, 256).toWellFormed(), source: 'given' as const } }
      : {}
  const outcome = backend === undefined ? ('failure' as const) : ('success' as const)
  const about = factsOf(leaseId, request)
  const { levelOf } = ports
  if (levelOf?.('route.picked', { ...about, failed: backend === undefined }) !== 'none')
    ports.emit('route.picked', { ...client, outcome, lb: { lease_id: leaseId, decision: ports.report(decision) } })
  if (backend === undefined) return { backend: undefined, decision, done: () => undefined }
  ports.take(backend)
  const startUs = ports.clock.monoUs()
  let open = true
  return {
    backend: backend.config,
    decision,
    setCookie: ports.bind(pick),
    done(given) {
      if (!open) return
      open = false
      const ended = {
        result: attemptResults.includes(given?.result) ? given.result : ('internal' as const),
        status: given?.status,
      }
      const latencyUs = isCount(given?.latencyUs) ? given.latencyUs : ports.clock.monoUs() - startUs
      ports.release(backend, { ...ended, startUs, latencyUs })
      const failed = ended.result !== 'ok' || (isCount(ended.status) && ended.status >= 500)
      if (levelOf?.('route.released', { ...about, ...ended, failed }) === 'none') return
      ports.emit('route.released', {
        outcome: ended.result === 'ok' ? 'success' : 'failure',
        lb: {
          lease_id: leaseId,
          backend: backend.config.id,
          result: ended.result,
          ...(isCount(ended.status) ? { status_code: ended.status } : {}),
          duration_us: ports.clock.monoUs() - startUs,
        },
      })
    },
  }
}

function factsOf(id: string, request: PickRequest): Omit<TrafficFacts, 'failed'> {
  const { method, path, client } = request ?? {}
  return {
    id,
    method: typeof method === 'string' ? method : '',
    path: typeof path === 'string' ? path.split('?', 1)[0]! : '',
    client: typeof client?.address === 'string' ? client.address : '',
    status: undefined,
    result: undefined,
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
