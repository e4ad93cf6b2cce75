// The balancer: wires the parts to each other, and owns start and close.
import { compileAccess } from './access/addresses.ts'
import { Flood } from './access/flood.ts'
import type { Audit, AuditClosed } from './audit/audit.ts'
import { scopeOf } from './audit/scope.ts'
import { Trail } from './audit/trail.ts'
import { type BackendState, hasRoom } from './backend.ts'
import { systemClock, timeLeft, within } from './clock.ts'
import {
  type BalancerOptions,
  describe,
  describeConfig,
  mergeConfig,
  type PoolChanges,
  type PoolConfig,
  parseConfig,
} from './config.ts'
import { Deadlines } from './control/deadlines.ts'
import { createOperator, type Operator } from './control/operator.ts'
import { Revisions } from './control/revisions.ts'
import { adminOf } from './control/standing.ts'
import type { Lease } from './decision.ts'
import { type Actor, actorSchema } from './event-parts.ts'
import type { Emit } from './events.ts'
import type { Balancer } from './face.ts'
import { HealthWatch } from './health/watch.ts'
import type { Ending } from './outcome.ts'
import { parseOptions } from './parse.ts'
import { Hop, type HopParts } from './proxy/hop.ts'
import type { AdapterPort } from './proxy/ports.ts'
import { decisionReport } from './proxy/report.ts'
import { Transports } from './proxy/transports.ts'
import { randomHex, systemRandom } from './random.ts'
import type { PickRequest } from './request.ts'
import { Further } from './routing/further.ts'
import { InFlight } from './routing/in-flight.ts'
import { openLease } from './routing/lease.ts'
import { Picker } from './routing/picker.ts'
import { Pool } from './routing/pool.ts'
import { rotation } from './routing/rotation.ts'
import { type BalancerSnapshot, backendSnapshots } from './routing/snapshot.ts'
import { WaitingRoom } from './routing/waiting.ts'
import { createStrategy, isSameStrategy } from './strategies/index.ts'
import { version } from './version.ts'

/** Starts at once. Throws {@link BalancerError} `config-invalid`, which lists everything that is wrong. */
export function createBalancer(options: BalancerOptions): Balancer {
  return new Wiring(options)
}

class Wiring implements Balancer {
  readonly name: string
  readonly audit: Audit
  readonly port: AdapterPort
  readonly #clock
  readonly #random
  readonly #emit: Emit
  readonly #trail: Trail
  readonly #ownsTrail: boolean
  readonly #pool = new Pool()
  readonly #inFlight = new InFlight()
  readonly #picker: Picker
  readonly #further: Further
  readonly #health: HealthWatch
  readonly #revisions: Revisions<PoolConfig>
  readonly #deadlines: Deadlines<PoolConfig>
  readonly #room: WaitingRoom
  readonly #hop: Hop
  #inForce: PoolConfig
  readonly #transports: Transports
  readonly #flood: Flood
  #denies: (address: string) => string | undefined
  #state: BalancerSnapshot['state'] = 'open'
  #closing: Promise<AuditClosed> | undefined

  constructor(options: BalancerOptions) {
    const config = parseConfig(options)
    const { name, control, audit, pool: initial } = config
    this.name = name
    this.#clock = config.clock ?? systemClock
    this.#random = config.random ?? systemRandom
    this.#ownsTrail = !(audit instanceof Trail)
    this.#trail =
      audit instanceof Trail ? audit : new Trail({ clock: config.clock, random: config.random, ...audit }, name)
    const scope = scopeOf(this.#trail, () => this.#stamp())
    this.audit = scope.audit
    this.#emit = scope.emit
    this.#inForce = initial
    this.#transports = new Transports(initial, this.#clock)
    this.#flood = new Flood(this.#clock, (fields) => void this.#emit('access.denied', fields))
    this.#denies = compileAccess(initial.access)
    this.#pool.mirrorGroup = initial.mirror?.group
    this.#pool.sync(initial.backends)
    const strategy = createStrategy(initial.strategy, { clock: this.#clock, random: this.#random })
    this.#picker = new Picker(this.#pool, strategy, this.#random, (at, fault) =>
      this.#trail.tellOnce(`strategy ${at}`, fault),
    )
    this.#further = new Further(this.#clock, () => this.#inForce)
    this.#health = new HealthWatch({
      clock: this.#clock,
      random: this.#random,
      eligible: () => this.#pool.snapshot.candidates.length,
      refresh: () => {
        this.#pool.refresh()
        this.#room.wake()
      },
      emit: this.#emit,
    })
    this.#revisions = new Revisions<PoolConfig>({
      initial,
      describe: describeConfig,
      authorize: control.authorize,
      clock: this.#clock,
      alike: (a, b) => isSameStrategy(a.strategy, b.strategy),
      emit: this.#emit,
      closed: () => this.#state !== 'open',
      recordable: () => this.#trail.recordable,
      durable: (ticket) => this.#trail.durable(ticket),
      apply: (next) => this.#apply(next),
    })
    this.#deadlines = new Deadlines({ clock: this.#clock, revisions: this.#revisions })
    this.#room = new WaitingRoom({
      config: initial.queue,
      clock: this.#clock,
      hasRoom: () => this.#pool.snapshot.candidates.some(hasRoom),
    })
    this.#hop = new Hop(this.#hopParts())
    this.port = {
      handle: (request, response, given = {}) => this.#hop.handle(request, response, given),
      denies: (address) => this.#denies(address),
      refused: (fields) => this.#flood.deny(fields),
    }
    const { number, hash, record } = this.#revisions.current
    this.#emit('balancer.started', { balancer: { version, revision: number, hash, config: record } })
    this.#health.watch(this.#pool.states, initial.health)
    this.ready().then(
      () => void (this.#state === 'open' && this.#emit('balancer.ready', {})),
      () => undefined,
    )
  }

  pick(request: PickRequest = {}): Lease {
    this.#room.offer()
    const picked = this.#picker.pick(request, [])
    return openLease(picked, request, {
      clock: this.#clock,
      emit: this.#emit,
      take: (backend) => {
        this.#inFlight.opened()
        this.#inFlight.take(backend)
      },
      release: (backend, ending) => {
        this.#release(backend, ending)
        this.#inFlight.closed()
      },
      report: decisionReport,
    })
  }

  as(actor: Actor): Operator<PoolChanges> {
    return createOperator<PoolConfig, PoolChanges>({
      actor: Object.freeze(parseOptions(actorSchema, actor, 'as')),
      revisions: this.#revisions,
      merge: mergeConfig,
      describe,
      emptied: (id) => {
        const backend = this.#pool.state(id)
        return () => (backend === undefined ? Promise.resolve() : this.#inFlight.empty(backend))
      },
      deadlineOver: (id) => this.#deadlines.over(id),
    })
  }

  snapshot(): BalancerSnapshot {
    const { number, hash, config } = this.#revisions.current
    return {
      name: this.name,
      state: this.#state,
      revision: number,
      hash,
      strategy: config.strategy.name,
      inFlight: this.#inFlight.total,
      backends: backendSnapshots(this.#pool.states, this.#pool.snapshot),
    }
  }

  ready(): Promise<void> {
    return this.#trail.ready()
  }

  close(options: { deadlineMs?: number } = {}): Promise<AuditClosed> {
    this.#closing ??= this.#close(options.deadlineMs ?? 10_000)
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<AuditClosed> {
    const left = timeLeft(this.#clock, deadlineMs)
    this.#state = 'closing'
    this.#deadlines.close()
    this.#room.close()
    this.#emit('balancer.draining', { balancer: { in_flight: this.#inFlight.total } })
    await within(this.#clock, this.#inFlight.empty(), left(), undefined)
    const cutOff = this.#inFlight.total
    this.#health.close()
    this.#hop.closeMirrors()
    await this.#transports.close()
    // What was cut off has its record once its client's connection is closed too.
    if (cutOff > 0) await within(this.#clock, this.#inFlight.empty(), 1000, undefined)
    this.#flood.flush()
    this.#state = 'closed'
    this.#emit('balancer.stopped', { balancer: { in_flight: cutOff }, outcome: cutOff === 0 ? 'success' : 'failure' })
    return this.#ownsTrail ? this.#trail.close({ deadlineMs: Math.max(left(), 1000) }) : { undelivered: {} }
  }

  /** Puts a configuration in force; called with revisions in their order. */
  #apply(next: PoolConfig): void {
    const before = this.#inForce
    this.#inForce = next
    this.#pool.mirrorGroup = next.mirror?.group
    const { left } = this.#pool.sync(next.backends)
    for (const state of this.#pool.states) this.#health.setAdmin(state, adminOf(next, state.config.id))
    this.#pool.refresh()
    if (!isSameStrategy(next.strategy, before.strategy))
      this.#picker.use(createStrategy(next.strategy, { clock: this.#clock, random: this.#random }))
    this.#denies = compileAccess(next.access)
    this.#health.watch(this.#pool.states, next.health)
    for (const state of left) this.#health.forget(state)
    this.#transports.apply(next)
    this.#deadlines.apply(next)
    this.#room.configure(next.queue)
    for (const state of this.#pool.states) if (state.admin === 'disabled') this.#hop.cut(state)
    this.#room.wake()
  }

  #release(backend: BackendState, ending: Ending): void {
    const wasFull = !hasRoom(backend)
    const failed = this.#health.observe(backend, ending)
    this.#inFlight.release(backend, failed)
    this.#picker.observe(backend, { failed, latencyUs: ending.latencyUs, retryAfterMs: ending.retryAfterMs })
    if (wasFull) this.#room.wake(backend)
  }

  #stamp() {
    const { number, hash } = this.#revisions.current
    return { config_hash: hash, config_revision: number, pool: this.name }
  }

  #hopParts(): HopParts {
    const trail = this.#trail
    return {
      clock: this.#clock,
      via: `auditlb-${randomHex(4)}`,
      pick: (request, tried, turn) => this.#picker.pick(request, tried, turn),
      take: (backend) => this.#inFlight.take(backend),
      release: (backend, ending) => this.#release(backend, ending),
      room: this.#room,
      random: this.#random,
      mirror: () => this.#inForce.mirror,
      pickMirror: rotation(() => this.#pool.snapshot.mirrors),
      transport: () => this.#transports.current,
      further: this.#further,
      timeouts: () => this.#inForce.timeouts,
      denies: (address) => this.#denies(address),
      denied: (fields) => this.#flood.deny(fields),
      keepsHost: () => this.#inForce.host === 'keep',
      closing: () => this.#state !== 'open',
      emit: this.#emit,
      stamp: () => this.#stamp(),
      redactor: trail.redactor,
      log: {
        waits: trail.waitsForDisk,
        refuses: trail.whenUnavailable === 'refuse',
        recordable: () => trail.recordable,
        durable: (ticket) => trail.durable(ticket),
      },
      opened: () => this.#inFlight.opened(),
      closed: () => this.#inFlight.closed(),
    }
  }
}
