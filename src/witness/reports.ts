// Tells what a witness finds: to listeners, to the logger, and to a trail.
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import type { Refusal } from './answer.ts'
import type { WitnessTrail } from './options.ts'
import type { OriginChange } from './roster.ts'

/** Something was refused, or as many more of the kind as were not told one by one. */
export interface Refused {
  readonly code: string
  readonly status: number
  readonly detail: string
  /** Path of the request. */
  readonly path: string
  /** Address of the peer. */
  readonly address: string
  readonly origin?: string
  /** How many refusals this one stands for. */
  readonly count?: number
}

export interface WitnessEvents {
  origin: OriginChange
  refused: Refused
}

// What is part of a sender finding its place is no refusal that anybody must hear of.
const ordinary = new Set(['gap', 'busy', 'lines-first', 'outdated', 'no-such-path', 'method'])
const told = new Set(['silent', 'shrunk'])
/** Refusals in a second that are told one by one: a flood of them must not fill a log. */
const mostRefusals = 10
/** The same fault is told again after this time. */
const quietMs = 60_000

type Listeners = { [E in keyof WitnessEvents]: Set<(event: WitnessEvents[E]) => unknown> }

export class Reports {
  private readonly listeners: Listeners = { origin: new Set(), refused: new Set() }
  private readonly faults = new Map<string, number>()
  private second = 0
  private refusals = 0
  private untold = 0

  constructor(
    private readonly clock: Clock,
    private readonly logger: Logger,
    private readonly trail: WitnessTrail | undefined,
  ) {}

  on<E extends keyof WitnessEvents>(name: E, listener: (event: WitnessEvents[E]) => unknown): void {
    this.listeners[name].add(listener)
  }

  off<E extends keyof WitnessEvents>(name: E, listener: (event: WitnessEvents[E]) => unknown): void {
    this.listeners[name].delete(listener)
  }

  changed(change: OriginChange): void {
    const { origin, from, to, fault } = change
    if (to === 'shrunk') this.log('error', { origin, error: fault }, 'a log shows other lines, or fewer, than before')
    else if (told.has(to)) this.log('warn', { origin, last_seen: change.last_seen }, 'a log fell silent')
    else if (told.has(from)) this.log('warn', { origin, from, to }, 'a log speaks again')
    this.tell('origin', change)
    this.record('witness.origin_changed', { witness: change })
  }

  refused(refusal: Refusal, facts: { origin?: string; address: string; path: string }): void {
    if (ordinary.has(refusal.code)) return
    const second = Math.floor(this.clock.monoUs() / 1_000_000)
    if (second !== this.second) {
      this.second = second
      this.refusals = 0
    }
    if (++this.refusals > mostRefusals) {
      this.untold++
      return
    }
    const { code, status, message: detail } = refusal
    const count = this.untold > 0 ? { count: this.untold + 1 } : {}
    this.untold = 0
    const event: Refused = { code, status, detail, ...facts, ...count }
    this.tell('refused', event)
    const { address, ...witness } = event
    this.record('witness.refused', { witness, network: { peer: { address } } })
  }

  fault(error: unknown): void {
    const reason = reasonOf(error)
    const now = this.clock.monoUs() / 1000
    if (now - (this.faults.get(reason) ?? -quietMs) < quietMs) return
    // Reasons that name files may be many.
    if (this.faults.size >= 1000) this.faults.clear()
    this.faults.set(reason, now)
    this.log('error', { error: reason }, 'the witness failed')
  }

  private tell<E extends keyof WitnessEvents>(name: E, event: WitnessEvents[E]): void {
    for (const listener of this.listeners[name]) {
      try {
        const settled = listener(event)
        if (settled instanceof Promise) settled.catch((error: unknown) => this.fault(error))
      } catch (error) {
        this.fault(error)
      }
    }
  }

  private record(name: Parameters<WitnessTrail['record']>[0], fields: object): void {
    try {
      this.trail?.record(name, fields)
    } catch (error) {
      this.fault(error)
    }
  }

  private log(level: keyof Logger, fields: object, message: string): void {
    try {
      this.logger[level](fields, message)
    } catch {
      // There is nobody left to tell.
    }
  }
}
