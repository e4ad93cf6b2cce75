// The balancer: wires the parts to each other, and owns start and close.
import { compileAccess } from './access/addresses.ts'
import { Flood } from './access/flood.ts'
import type { Audit, AuditClosed } from './audit/audit.ts'
import { scopeOf } from './audit/scope.ts'
import { Trail } from './audit/trail.ts'
import type { BackendState } from './backend.ts'
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
import { createOperator, type Operator } from './control/operator.ts'
import { Revisions } from './control/revisions.ts'
import type { Lease } from './decision.ts'
import { type Actor, actorSchema } from './event-parts.ts'
import { type Emit, severity } from './events.ts'
import type { Balancer } from './face.ts'
import { isSameProbing } from './health/probe-options.ts'
import { HealthWatch } from './health/watch.ts'
import type { Ending } from './outcome.ts'
import { parseOptions } from './parse.ts'
import { handle } from './proxy/exchange.ts'
import type { AdapterPort, Ports } from './proxy/ports.ts'
import { decisionReport } from './proxy/report.ts'
import { Transports } from './proxy/transports.ts'
import { randomHex, systemRandom } from './random.ts'
import type { PickRequest } from './request.ts'
import { openLease } from './routing/lease.ts'
import { mayRetry } from './routing/retry.ts'
import { Router, type StrategyChoice } from './routing/router.ts'
import { type BalancerSnapshot, backendSnapshots } from './routing/snapshot.ts'
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
  readonly #router: Router
  readonly #health: HealthWatch
  readonly #revisions: Revisions<PoolConfig>
  #inForce: PoolConfig
  #strategy: StrategyChoice
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
    this.#strategy = this.#choiceOf(initial)
    this.#router = new Router(initial, this.#strategy, {
      clock: this.#clock,
      random: this.#random,
      onFault: (at, fault) => this.#trail.tellOnce(`strategy ${at}`, fault),
      onPanic: (panic, { eligible, total }) =>
        void this.#emit('pool.panic_changed', {
          lb: { panic, eligible, total },
          severity: panic ? severity.error : severity.info,
          outcome: panic ? 'failure' : 'success',
        }),
      onCapacity: () => undefined,
    })
    this.#health = new HealthWatch({
      clock: this.#clock,
      random: this.#random,
      eligible: () => this.#router.pool.snapshot.eligible,
      refresh: () => this.#router.pool.refresh(),
      emit: this.#emit,
    })
    this.#revisions = new Revisions<PoolConfig>({
      initial,
      describe: describeConfig,
      authorize: control.authorize,
      clock: this.#clock,
      alike: (a, b) => isSameStrategy(a.strategy, b.strategy) && isSameProbing(a.health.active, b.health.active),
      emit: this.#emit,
      closed: () => this.#state !== 'open',
      recordable: () => this.#trail.recordable,
      durable: (ticket) => this.#trail.durable(ticket),
      apply: (next) => this.#apply(next),
    })
    const ports = this.#ports()
    this.port = {
      handle: (request, response, given = {}) => handle(ports, request, response, given),
      denies: (address) => this.#denies(address),
      refused: (fields) => this.#flood.deny(fields),
    }
    const { number, hash, record } = this.#revisions.current
    this.#emit('balancer.started', { balancer: { version, revision: number, hash, config: record } })
    this.#router.sync(initial.backends)
    this.#health.watch(this.#router.pool.states, initial.health)
    this.ready().then(
      () => void (this.#state === 'open' && this.#emit('balancer.ready', {})),
      () => undefined,
    )
  }

  pick(request: PickRequest = {}): Lease {
    const picked = this.#router.pick(request, [])
    return openLease(picked, request, {
      clock: this.#clock,
      emit: this.#emit,
      take: (backend) => {
        this.#router.inFlight.opened()
        this.#router.inFlight.take(backend)
      },
      release: (backend, ending) => {
        this.#release(backend, ending)
        this.#router.inFlight.closed()
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
        const backend = this.#router.pool.state(id)
        return () => (backend === undefined ? Promise.resolve() : this.#router.inFlight.empty(backend))
      },
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
      backends: backendSnapshots(this.#router.pool.states, this.#router.pool.snapshot),
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
    this.#emit('balancer.draining', { balancer: { in_flight: this.#router.inFlight.total } })
    await within(this.#clock, this.#router.inFlight.empty(), left(), undefined)
    const cutOff = this.#router.inFlight.total
    this.#health.close()
    this.#router.close()
    await this.#transports.close()
    // What was cut off has its record once its client's connection is closed too.
    if (cutOff > 0) await within(this.#clock, this.#router.inFlight.empty(), 1000, undefined)
    this.#flood.flush()
    this.#state = 'closed'
    this.#emit('balancer.stopped', { balancer: { in_flight: cutOff }, outcome: cutOff === 0 ? 'success' : 'failure' })
    return this.#ownsTrail ? this.#trail.close({ deadlineMs: Math.max(left(), 1000) }) : { undelivered: {} }
  }

  /** Puts a configuration in force; called with revisions in their order. */
  #apply(next: PoolConfig): void {
    const before = this.#inForce
    this.#inForce = next
    if (!isSameStrategy(next.strategy, before.strategy)) this.#strategy = this.#choiceOf(next)
    this.#router.configure(next, this.#strategy)
    const left = this.#router.sync(next.backends)
    for (const state of this.#router.pool.states)
      this.#health.setAdmin(state, next.draining.includes(state.config.id) ? 'draining' : 'ready')
    this.#router.pool.refresh()
    this.#denies = compileAccess(next.access)
    this.#health.watch(this.#router.pool.states, next.health)
    for (const state of left) this.#health.forget(state)
    this.#transports.apply(next)
  }

  #release(backend: BackendState, ending: Ending): void {
    const failed = this.#health.observe(backend, ending)
    this.#router.release(backend, { failed, latencyUs: ending.latencyUs, retryAfterMs: ending.retryAfterMs })
  }

  #choiceOf({ strategy }: PoolConfig): StrategyChoice {
    const tools = { clock: this.#clock, random: this.#random }
    return {
      name: strategy.name,
      create: () => createStrategy(strategy, tools),
      options: 'pick' in strategy ? undefined : describe(strategy.options),
    }
  }

  #stamp() {
    const { number, hash } = this.#revisions.current
    return { config_hash: hash, config_revision: number, pool: this.name }
  }

  #ports(): Ports {
    const trail = this.#trail
    return {
      clock: this.#clock,
      via: `auditlb-${randomHex(4)}`,
      pick: (request, tried) => this.#router.pick(request, tried),
      take: (backend) => this.#router.inFlight.take(backend),
      release: (backend, ending) => this.#release(backend, ending),
      transport: () => this.#transports.current,
      mayRetry: (failure, facts) => mayRetry(this.#inForce.retry, failure, facts),
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
      opened: () => this.#router.inFlight.opened(),
      closed: () => this.#router.inFlight.closed(),
    }
  }
}
