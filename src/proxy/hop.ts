// The hop as a whole: what runs on each backend, the copies, and the door by which requests come in.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { BackendState } from '../backend.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import { handle } from './exchange.ts'
import { type MirrorConfig, Mirrors } from './mirror.ts'
import { observe, observeUpgrade, takeOver } from './observe.ts'
import { OpenRequests } from './open-requests.ts'
import type { AdapterPort, AnyRequest, AnyResponse, HandleOptions, Ports, UpgradeOptions } from './ports.ts'
import { Running } from './running.ts'
import { watchSession } from './sessions.ts'
import { Tunnels } from './tunnel.ts'
import { askedUpgrade } from './upgrade.ts'
import { inTurn, UpgradeSocket } from './upgrade-socket.ts'
import { Upgrading } from './upgrading.ts'

/** What the hop needs from the rest of the balancer. */
export interface HopParts extends Omit<Ports, 'running' | 'mirrors' | 'tunnels' | 'open'> {
  readonly random: Random
  /** The options in force; undefined if nothing is mirrored. */
  mirror(): MirrorConfig | undefined
  /** One of the mirrors that is eligible and has room. */
  pickMirror(request: PickRequest): BackendState | undefined
}

export class Hop {
  readonly #ports: Ports

  constructor(parts: HopParts) {
    const running = new Running()
    const { clock, random, emit, levelOf, stamp, take, release, transport } = parts
    const common = { clock, random, emit, levelOf, stamp, take, release, transport, running }
    const mirrors = new Mirrors({
      ...common,
      config: () => parts.mirror(),
      pick: (request) => parts.pickMirror(request),
    })
    this.#ports = { ...parts, running, mirrors, tunnels: new Tunnels(), open: new OpenRequests(clock) }
  }

  /** Takes a request over: it is answered and recorded, whatever happens. Never throws. */
  handle(request: AnyRequest, response: AnyResponse, options: HandleOptions): void {
    const taken = takeOver(request as IncomingMessage, options)
    if (taken !== undefined) handle(this.#ports, request as IncomingMessage, response as ServerResponse, taken)
  }

  /** Takes a request over that asks for another protocol, with its connection. Never throws. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: UpgradeOptions): void {
    const given = takeOver(request, options)
    if (given === undefined) return
    const taken = new UpgradeSocket(socket, head)
    inTurn(socket, options.response, () => {
      const response = options.response ?? new ServerResponse(request)
      taken.answerBy(response)
      handle(this.#ports, request, response, { ...given, upgrading: new Upgrading(this.#ports, request, taken) })
    })
  }

  /** How many tunnels are open. */
  get tunnels(): number {
    return this.#ports.tunnels.size
  }

  /** Must be called when the options of upgrades have changed. */
  upgradesChanged(): void {
    this.#ports.tunnels.watchIdle()
  }

  /** Cuts off all tunnels. */
  closeTunnels(): void {
    this.#ports.tunnels.breakOff()
  }

  /** What adapters work with. */
  adapterPort(refused: AdapterPort['refused']): AdapterPort {
    return {
      handle: (request, response, given = {}) => this.handle(request, response, given),
      upgrade: (request, socket, head, given = {}) => this.upgrade(request, socket, head, given),
      upgrades: (request) => askedUpgrade(this.#ports.upgrades(), request) !== undefined,
      observe: (request, response, given = {}) =>
        observe(this.#ports, request as IncomingMessage, response as ServerResponse, given),
      observeUpgrade: (request, socket, given = {}) => observeUpgrade(this.#ports, request, socket, given),
      session: (session) => watchSession(session, this.#ports.clock, refused),
      denies: (address) => (this.#ports.trust()?.trusts(address, 0) === true ? undefined : this.#ports.denies(address)),
      refused,
    }
  }

  /** Breaks off what runs on this backend: requests are tried elsewhere where they may be. */
  cut(backend: BackendState): void {
    this.#ports.running.cut(backend)
  }

  /** Breaks off all copies, and begins no more. */
  closeMirrors(): void {
    this.#ports.mirrors.close()
  }
}
