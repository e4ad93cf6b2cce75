// The balancer: wires the parts to each other, and owns start and close.
import { compileAccess } from './access/addresses.ts'
import { Flood } from './access/flood.ts'
import type { Audit, AuditClosed } from './audit/audit.ts'
import { scopeOf } from './audit/scope.ts'
import { Trail } from './audit/trail.ts'
import type { BackendState } from './backend.ts'
import { behavesAlike, strategyChooser } from './choice.ts'
import { type CloseOptions, deadlineOf, systemClock, timeLeft, within } from './clock.ts'
import { type BalancerOptions, type PoolChanges, type PoolConfig, parseConfig, readChanges } from './config.ts'
import { Deadlines } from './control/deadlines.ts'
import { createOperator, type Operator } from './control/operator.ts'
import { Revisions } from './control/revisions.ts'
import { adminOf } from './control/standing.ts'
import type { Lease } from './decision.ts'
import { describeConfig, describeGiven } from './describe.ts'
import { Discovery } from './discovery/discovery.ts'
import { reasonOf } from './errors.ts'
import { type Actor, actorSchema } from './event-parts.ts'
import type { Emit } from './events.ts'
import type { Balancer } from './face.ts'
import { HealthWatch } from './health/watch.ts'
import { hopParts } from './hop-parts.ts'
import type { Ending } from './outcome.ts'
import { parseOptions } from './parse.ts'
import { Hop } from './proxy/hop.ts'
import type { AdapterPort } from './proxy/ports.ts'
import { decisionReport } from './proxy/report.ts'
import { systemRandom } from './random.ts'
import type { PickRequest } from './request.ts'
import { openLease } from './routing/lease.ts'
import { Router, type StrategyChoice } from './routing/router.ts'
import { type BalancerSnapshot, backendSnapshots } from './routing/snapshot.ts'
import { step } from './step.ts'
import { Transports } from './transports/transports.ts'
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
  readonly #emit: Emit
  readonly #trail: Trail
  readonly #ownsTrail: boolean
  readonly #router: Router
  readonly #health: HealthWatch
  readonly #discovery: Discovery
  readonly #revisions: Revisions<PoolConfig>
  #inForce: PoolConfig
  readonly #chosen: (config: PoolConfig) => StrategyChoice
  readonly #deadlines: Deadlines<PoolConfig>
  readonly #hop: Hop
  readonly #transports: Transports
  readonly #flood: Flood
  #denies: (address: string) => string | undefined
  readonly #leave: () => void
  #state: BalancerSnapshot['state'] = 'open'
  #closing: Promise<AuditClosed> | undefined

  constructor(options: BalancerOptions) {
    const config = parseConfig(options)
    const { name, control, audit, pool: initial } = config
    this.name = name
    this.#clock = config.clock ?? systemClock
    this.#ownsTrail = !(audit instanceof Trail)
    this.#trail =
      audit instanceof Trail ? audit : new Trail({ clock: config.clock, random: config.random, ...audit }, name)
    const scope = scopeOf(this.#trail, !this.#ownsTrail, () => this.#stamp())
    this.audit = scope.audit
    this.#emit = scope.emit
    this.#inForce = initial
    this.#transports = new Transports(initial, this.#clock)
    this.#flood = new Flood(this.#clock, (fields) => void this.#emit('access.denied', fields))
    this.#denies = compileAccess(initial.access)
    const ground = { clock: this.#clock, random: config.random ?? systemRandom, emit: this.#emit }
    this.#discovery = new Discovery({ ...ground, changed: () => this.#apply(this.#inForce) })
    this.#chosen = strategyChooser(ground)
    this.#router = new Router(initial, this.#chosen(initial), {
      ...ground,
      onFault: (at, fault) => this.#trail.tellOnce(`strategy ${at}`, fault),
      // That one on trial takes one request at a time is told as what it is: a trial.
      onCapacity: (backend) =>
        this.#health.capacityChanged(backend, backend.capacity === 'full' && backend.passive !== 'trial'),
    })
    this.#health = new HealthWatch({
      ...ground,
      dial: (backend, settle) => this.#transports.dial(backend, settle),
      eligible: () => this.#router.pool.snapshot.eligible,
      refresh: () => this.#router.pool.refresh(),
    })
    this.#revisions = new Revisions<PoolConfig>({
      initial,
      describe: (given) => describeConfig(given, this.#trail.extent.redactor.telling),
      authorize: control.authorize,
      clock: this.#clock,
      alike: behavesAlike,
      emit: this.#emit,
      closed: () => this.#state !== 'open',
      obstacle: () => this.#trail.obstacle('control'),
      durable: (ticket) => this.#trail.durable(ticket),
      apply: (next) => this.#apply(next),
    })
    this.#deadlines = new Deadlines({ clock: this.#clock, revisions: this.#revisions })
    this.#hop = new Hop(
      hopParts({
        ...ground,
        router: this.#router,
        trail: this.#trail,
        transports: this.#transports,
        config: () => this.#inForce,
        stamp: () => this.#stamp(),
        release: (backend, ending) => this.#release(backend, ending),
        denies: (address) => this.#denies(address),
        denied: (fields) => this.#flood.deny(fields),
        closing: () => this.#state !== 'open',
      }),
    )
    this.port = this.#hop.adapterPort((fields) => this.#flood.deny(fields))
    this.#leave = this.#trail.pools.enter(name)
    const { number, hash, record } = this.#revisions.current
    this.#emit('balancer.started', { balancer: { version, revision: number, hash, config: record } })
    this.#router.sync(this.#discovery.apply(initial))
    this.#health.watch(this.#router.pool.states, initial.health)
    this.ready().then(
      () => void (this.#state === 'open' && this.#emit('balancer.ready', {})),
      () => undefined,
    )
  }

  pick(request: PickRequest = {}): Lease {
    this.#router.room.offer()
    const picked = this.#router.pick(request, [])
    return openLease(picked, request, {
      clock: this.#clock,
      emit: this.#emit,
      levelOf: this.#trail.extent.levelOf,
      take: (backend) => {
        this.#router.inFlight.opened()
        this.#router.inFlight.take(backend)
      },
      release: (backend, ending) => {
        this.#release(backend, ending)
        this.#router.inFlight.closed()
      },
      bind: (pick) => this.#router.bind(request, pick),
      report: decisionReport,
    })
  }

  as(actor: Actor): Operator<PoolChanges> {
    const { telling } = this.#trail.extent.redactor
    return createOperator<PoolConfig, PoolChanges>({
      actor: Object.freeze(parseOptions(actorSchema, actor, 'as')),
      revisions: this.#revisions,
      read: readChanges,
      describe: (value, refused) => describeGiven(value, refused, telling),
      discoveredBy: (id) => this.#discovery.sourceOf(id),
      emptied: (id) => {
        const backend = this.#router.pool.state(id)
        return () => (backend === undefined ? Promise.resolve() : this.#router.inFlight.empty(backend))
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
      inFlight: this.#router.inFlight.total,
      tunnels: this.#hop.tunnels,
      waiting: this.#router.room.size,
      panic: this.#router.pool.snapshot.panic,
      backends: backendSnapshots(this.#router.pool.states, this.#router.pool.snapshot, (id) =>
        this.#discovery.sourceOf(id),
      ),
    }
  }

  ready(): Promise<void> {
    return this.#trail.ready().then(() => this.#discovery.ready())
  }

  close(options?: CloseOptions): Promise<AuditClosed> {
    this.#closing ??= this.#close(deadlineOf(options))
    return this.#closing
  }

  async #close(deadlineMs: number): Promise<AuditClosed> {
    const left = timeLeft(this.#clock, deadlineMs)
    this.#state = 'closing'
    this.#leave()
    this.#discovery.close()
    this.#deadlines.close()
    this.#router.close()
    this.#emit('balancer.draining', { balancer: { in_flight: this.#router.inFlight.total } })
    await within(this.#clock, this.#router.inFlight.empty(), left(), undefined)
    const cutOff = this.#router.inFlight.total
    this.#health.close()
    this.#hop.closeMirrors()
    this.#hop.closeTunnels()
    const failed = (error: unknown): void => this.#trail.tellOnce('closing the connections', reasonOf(error))
    await step(() => this.#transports.close(), undefined, failed)
    // What was cut off has its record once its client's connection is closed too.
    if (cutOff > 0) await within(this.#clock, this.#router.inFlight.empty(), 1000, undefined)
    this.#flood.flush()
    this.#state = 'closed'
    this.#emit('balancer.stopped', { balancer: { in_flight: cutOff }, outcome: cutOff === 0 ? 'success' : 'failure' })
    return this.#ownsTrail ? this.#trail.close({ deadlineMs: Math.max(left(), 1000) }) : { undelivered: {} }
  }

  /** Puts a configuration in force; called with revisions in their order. */
  #apply(next: PoolConfig): void {
    this.#inForce = next
    this.#router.configure(next, this.#chosen(next))
    const left = this.#router.sync(this.#discovery.apply(next))
    for (const state of this.#router.pool.states) this.#health.setAdmin(state, adminOf(next, state.config.id))
    this.#router.pool.refresh()
    this.#denies = compileAccess(next.access)
    this.#health.watch(this.#router.pool.states, next.health)
    for (const state of left) this.#health.forget(state)
    this.#transports.apply({ ...next, backends: this.#discovery.members })
    this.#deadlines.apply(next)
    this.#hop.upgradesChanged()
    for (const state of this.#router.pool.states) if (state.admin === 'disabled') this.#hop.cut(state)
  }

  #release(backend: BackendState, ending: Ending): void {
    const { result, latencyUs, retryAfterMs } = ending
    const failed = this.#health.observe(backend, ending)
    const incomplete = result === 'hedge-lost'
    const tells = failed || incomplete || result === 'ok'
    this.#router.release(backend, failed, tells ? { failed, incomplete, latencyUs, retryAfterMs } : undefined)
  }

  #stamp() {
    const { number, hash } = this.#revisions.current
    return { config_hash: hash, config_revision: number, pool: this.name }
  }
}
