// The pool: the state of every backend, and the snapshot of who is eligible now.
import { type Backend, type BackendState, newBackendState } from '../backend.ts'
import type { Exclusion, ExclusionReason } from '../decision.ts'

/** Immutable. A new one is made only when the eligible set or the reasons change. */
export interface Snapshot {
  readonly version: number
  readonly candidates: readonly BackendState[]
  readonly excluded: readonly Exclusion[]
  /** The eligible ones that get copies only. */
  readonly mirrors: readonly BackendState[]
}

export class Pool {
  readonly #states = new Map<string, BackendState>()
  #snapshot: Snapshot = { version: 0, candidates: [], excluded: [], mirrors: [] }
  /** The group whose backends get copies only. */
  mirrorGroup: string | undefined

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  get states(): readonly BackendState[] {
    return [...this.#states.values()]
  }

  state(id: string): BackendState | undefined {
    return this.#states.get(id)
  }

  /**
   * Makes the pool hold exactly these backends, in this order. One with the same id and url stays the same one, with all
   * that is known about it; returns those that came and those that left.
   */
  sync(backends: readonly Backend[]): { joined: BackendState[]; left: BackendState[] } {
    const before = new Map(this.#states)
    const joined: BackendState[] = []
    this.#states.clear()
    for (const backend of backends) {
      const known = before.get(backend.id)
      const same = known !== undefined && known.config.url === backend.url ? known : undefined
      const state = same ?? newBackendState(backend)
      if (same === undefined) joined.push(state)
      else before.delete(backend.id)
      state.config = backend
      state.weight = backend.weight * state.ramp
      this.#states.set(backend.id, state)
    }
    this.refresh()
    return { joined, left: [...before.values()] }
  }

  /** Must be called after any change of a backend's weight or of one of its health axes. */
  refresh(): void {
    const candidates: BackendState[] = []
    const excluded: Exclusion[] = []
    const mirrors: BackendState[] = []
    for (const state of this.#states.values()) {
      const isMirror = this.mirrorGroup !== undefined && state.config.group === this.mirrorGroup
      const out = exclusionOf(state)
      if (isMirror && out === undefined) mirrors.push(state)
      const reason = out ?? (isMirror ? 'mirror-only' : undefined)
      if (reason === undefined) candidates.push(state)
      else excluded.push(Object.freeze({ backend: state.config.id, reason }))
    }
    this.#snapshot = Object.freeze({
      version: this.#snapshot.version + 1,
      candidates: Object.freeze(candidates),
      excluded: Object.freeze(excluded),
      mirrors: Object.freeze(mirrors),
    })
  }
}

/** Why a backend gets no new picks; the first reason in this order is the one that is recorded. */
function exclusionOf(state: BackendState): ExclusionReason | undefined {
  if (state.admin !== 'ready') return state.admin
  if (state.config.weight === 0) return 'weight-zero'
  if (state.active === 'unhealthy') return 'unhealthy'
  if (state.passive === 'ejected') return 'ejected'
  return undefined
}
