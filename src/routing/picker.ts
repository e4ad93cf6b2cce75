// The picker: who keeps their backend, which list is asked otherwise, and what the record says of it.
import { type BackendState, fullRamp } from '../backend.ts'
import type { Json } from '../canonical.ts'
import type { Decision, Exclusion, StickyVerdict } from '../decision.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import type { Observation, Strategy } from '../strategy.ts'
import { type Affinity, type Binding, canKeep } from './affinity.ts'
import { Chooser, type StrategyFault } from './chooser.ts'
import { PickDraft } from './draft.ts'
import { drawShare, type Tier } from './plan.ts'
import type { Pool, Snapshot } from './pool.ts'
import { PickTracer } from './tracer.ts'

export interface Pick {
  readonly backend: BackendState | undefined
  readonly decision: Decision
}

/** Which pick of a request it is. */
export interface Turn {
  /** How many attempts came before. */
  readonly retry?: number | undefined
  readonly hedge?: boolean | undefined
  /** What the pick before it said of the client's affinity. */
  readonly sticky?: StickyVerdict | undefined
}

export interface PickRules {
  readonly name: string
  /** A strategy for one more list: a new one of the library's, always the same one of the user's own. */
  readonly create: () => Strategy
  /** The options of the strategy, as a record holds them. */
  readonly options: Json | undefined
  readonly affinity: Affinity | undefined
  /** The groups that requests fall to; '' where there is no split. */
  readonly groups: readonly string[]
  /** The part of the picks that is traced, from 0 to 1. */
  readonly traceRate: number
}

export interface PickerOptions {
  readonly pool: Pool
  readonly random: Random
  readonly onFault: StrategyFault
}

const onlyOne: Turn = {}
const nobody: readonly Exclusion[] = []

export class Picker {
  readonly #options: PickerOptions
  readonly #draft: PickDraft
  #rules: PickRules
  /** By the key of a list; of a user's own strategy there is one for all lists. */
  #choosers = new Map<string, Chooser>()
  /** One by the rules before, until somebody goes by the new ones: what it learns meanwhile is handed on. */
  #elder: Chooser | undefined
  #busy = false

  constructor(rules: PickRules, options: PickerOptions) {
    this.#rules = rules
    this.#options = options
    this.#draft = new PickDraft(options.random)
  }

  /** Goes by these rules from the next pick on. The strategies stay as they are if `create` is the same one. */
  use(rules: PickRules): void {
    const eldest = this.#eldest
    if (rules.create !== this.#rules.create) this.#choosers = new Map()
    // Of groups that are gone nothing is kept: names of releases would gather without end.
    for (const key of this.#choosers.keys())
      if (!rules.groups.includes(key.slice(0, key.indexOf(' ')))) this.#choosers.delete(key)
    if (this.#choosers.size === 0) this.#elder = eldest
    this.#rules = rules
  }

  /** Tells the strategies how it went. */
  observe(backend: BackendState, observation: Observation): void {
    this.#elder?.observe(backend, observation)
    for (const chooser of this.#distinct()) chooser.observe(backend, observation)
  }

  /** Never throws. `tried` are the backends that earlier attempts of the same request had. */
  pick(request: PickRequest, tried: readonly BackendState[], turn: Turn = onlyOne): Pick {
    const snapshot = this.#options.pool.snapshot
    const draft = this.#begin(request, tried)
    try {
      const { affinity } = this.#rules
      if (affinity === undefined) return this.#choose(snapshot, draft, turn, undefined)
      // A slow response moves nobody: a hedge has the verdict of the pick before it, whomever that found.
      if (turn.hedge === true) return this.#choose(snapshot, draft, turn, turn.sticky)
      const binding = affinity.find(request)
      // A first attempt waits for room on its own backend; a further one is on its way to another anyway.
      const isFirst = tried.length === 0
      if (typeof binding === 'object' && canKeep(binding, snapshot.panic) && (isFirst || draft.admits(binding)))
        return this.#keep(snapshot, binding, draft, turn)
      const wasFree = turn.sticky !== undefined && turn.sticky !== 'sticky-kept'
      const pick = this.#choose(snapshot, draft, turn, wasFree ? turn.sticky : verdictOf(binding))
      // What the client sends before it has a response follows.
      if (turn === onlyOne && pick.backend !== undefined) affinity.bind(request, pick.backend)
      return pick
    } finally {
      if (draft === this.#draft) this.#busy = false
    }
  }

  // A key function of the host may pick itself: the draft is one's own then.
  #begin(request: PickRequest, tried: readonly BackendState[]): PickDraft {
    const draft = this.#busy ? new PickDraft(this.#options.random) : this.#draft
    if (draft === this.#draft) this.#busy = true
    draft.begin(request, tried, tried.length > 0 || !this.#options.pool.capacity.isFree)
    return draft
  }

  #keep(snapshot: Snapshot, backend: BackendState, draft: PickDraft, turn: Turn): Pick {
    draft.reason = 'sticky'
    const found = draft.admits(backend) ? backend : undefined
    if (this.#isTraced()) {
      draft.trace = this.#tracer(undefined, [backend], draft)
      if (found !== undefined) draft.trace.compared(found, 0)
    }
    const decision = this.#decide(snapshot, undefined, found, draft, turn, 'sticky-kept')
    if (found !== undefined) return { backend: found, decision }
    // It waits for this one, whatever keeps others from it.
    const { id } = backend.config
    const others = decision.excluded.filter((exclusion) => exclusion.backend !== id)
    return {
      backend: undefined,
      decision: { ...decision, excluded: [...others, { backend: id, reason: 'at-capacity' }] },
    }
  }

  #choose(snapshot: Snapshot, draft: PickDraft, turn: Turn, sticky: StickyVerdict | undefined): Pick {
    const { parts } = snapshot
    const drawn = drawShare(parts, this.#options.random)
    const first = drawn === undefined ? undefined : drawShare(drawn.tiers, this.#options.random)
    if (drawn === undefined || first === undefined) {
      if (this.#isTraced()) draft.trace = this.#tracer(undefined, [], draft)
      return { backend: undefined, decision: this.#decide(snapshot, undefined, undefined, draft, turn, sticky) }
    }
    const backend = this.#ask(first, draft)
    if (backend !== undefined || !draft.restricted)
      return { backend, decision: this.#decide(snapshot, first, backend, draft, turn, sticky) }
    // Those that it fell to were tried or have no room: the others of its part come next, and then anybody.
    for (const part of [drawn, ...parts]) {
      for (const tier of part.tiers) {
        const other = this.#ask(tier, draft)
        if (other === undefined) continue
        return { backend: other, decision: this.#decide(snapshot, tier, other, draft, turn, sticky) }
      }
    }
    return { backend: undefined, decision: this.#decide(snapshot, undefined, undefined, draft, turn, sticky) }
  }

  #ask({ key, candidates }: Tier, draft: PickDraft): BackendState | undefined {
    const chooser = this.#chooser(key)
    chooser.prepare(candidates)
    draft.trace = undefined
    draft.random = this.#options.random
    if (this.#isTraced()) {
      const tracer = this.#tracer(chooser.memory(candidates), candidates, draft)
      draft.trace = tracer
      draft.random = tracer
    }
    return chooser.choose(candidates, draft)
  }

  #decide(
    snapshot: Snapshot,
    tier: Tier | undefined,
    backend: BackendState | undefined,
    draft: PickDraft,
    turn: Turn,
    sticky: StickyVerdict | undefined,
  ): Decision {
    const from = tier ?? snapshot
    const added = draft.restricted ? draft.exclusionsFrom(from.candidates) : nobody
    return {
      backend: backend?.config.id,
      candidates: from.candidates.length - added.length,
      excluded: added.length === 0 ? from.excluded : [...from.excluded, ...added],
      group: tier?.group,
      hedge: turn.hedge,
      panic: snapshot.panic || undefined,
      priority: tier?.priority,
      ramp: backend === undefined || backend.ramp === fullRamp ? undefined : backend.ramp,
      reason: backend === undefined ? 'none-eligible' : draft.reason,
      retry: turn.retry,
      snapshot: snapshot.version,
      sticky,
      strategy: this.#rules.name,
      trace: draft.trace?.trace,
      zone: tier?.zone,
    }
  }

  #tracer(memory: number[] | undefined, candidates: readonly BackendState[], draft: PickDraft): PickTracer {
    return new PickTracer(memory, this.#rules.options, candidates, draft, this.#options.random)
  }

  #isTraced(): boolean {
    const { traceRate } = this.#rules
    return traceRate > 0 && (traceRate >= 1 || this.#options.random.uint32() < traceRate * 0x1_0000_0000)
  }

  #chooser(key: string): Chooser {
    let chooser = this.#choosers.get(key)
    if (chooser === undefined) {
      const strategy = this.#rules.create()
      const same = [...this.#choosers.values()].find((other) => other.strategy === strategy)
      chooser = same ?? new Chooser(strategy, this.#options.onFault)
      const elder = this.#eldest
      if (same === undefined && elder !== undefined) chooser.inherit(elder)
      this.#elder = undefined
      this.#choosers.set(key, chooser)
    }
    return chooser
  }

  get #eldest(): Chooser | undefined {
    return this.#choosers.values().next().value ?? this.#elder
  }

  #distinct(): Iterable<Chooser> {
    return this.#choosers.size < 2 ? this.#choosers.values() : new Set(this.#choosers.values())
  }
}

function verdictOf(binding: Binding): StickyVerdict {
  return binding === undefined ? 'sticky-new' : binding === 'invalid' ? 'sticky-invalid' : 'sticky-lost'
}
