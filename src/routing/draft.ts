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

  /** Those of the candidates that are not admitted, and why. */
  exclusionsFrom(candidates: readonly BackendState[]): Exclusion[] {
    const excluded: Exclusion[] = []
    const tried = this.#tried
    for (let i = 0; i < candidates.length; i++) {
      const candidate = candidates[i]!
      const wasTried = tried.length > 0 && tried.includes(candidate)
      if (!wasTried && candidate.capacity === 'free') continue
      const reason = wasTried ? 'tried' : 'at-capacity'
      excluded.push({ backend: candidate.config.id, reason })
    }
    return excluded
  }
}
