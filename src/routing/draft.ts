// The draft of one pick: what a strategy gets, and where it leaves its reason. One is used again and again.
import type { BackendState } from '../backend.ts'
import type { Exclusion, PickReason } from '../decision.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Draft } from '../strategy.ts'
import type { PickTracer } from './tracer.ts'

const noRequest: PickRequest = {}
const nobody: readonly BackendState[] = []

export class PickDraft implements Draft {
  reason: PickReason = 'custom'
  request = noRequest
  restricted = false
  random: Random
  trace: PickTracer | undefined
  #tried = nobody

  constructor(random: Random) {
    this.random = random
  }

  begin(request: PickRequest, tried: readonly BackendState[], restricted: boolean): void {
    this.reason = 'custom'
    this.request = request
    this.restricted = restricted
    this.trace = undefined
    this.#tried = tried
  }

  admits(candidate: BackendState): boolean {
    return candidate.capacity === 'free' && !this.#tried.includes(candidate)
  }

  /** Why a candidate is not admitted, as a list of one; empty if it is. */
  exclusionOf(candidate: BackendState): readonly Exclusion[] {
    if (this.#tried.includes(candidate)) return [{ backend: candidate.config.id, reason: 'tried' }]
    return candidate.capacity === 'full' ? [{ backend: candidate.config.id, reason: 'at-capacity' }] : []
  }
}
