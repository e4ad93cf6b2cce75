// The hop as a whole: what runs on each backend, the copies, and the door by which requests come in.
import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { BackendState } from '../backend.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import { handle } from './exchange.ts'
import { type MirrorConfig, Mirrors } from './mirror.ts'
import { observe } from './observe.ts'
import type { AdapterPort, HandleOptions, Ports } from './ports.ts'
import { Running } from './running.ts'

/** What the hop needs from the rest of the balancer. */
export interface HopParts extends Omit<Ports, 'running' | 'mirrors'> {
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
    const { clock, random, emit, stamp, take, release, transport } = parts
    const common = { clock, random, emit, stamp, take, release, transport, running }
    const mirrors = new Mirrors({
      ...common,
      config: () => parts.mirror(),
      pick: (request) => parts.pickMirror(request),
    })
    this.#ports = { ...parts, running, mirrors }
  }

  /** Takes a request over: it is answered and recorded, whatever happens. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse, options: HandleOptions): void {
    handle(this.#ports, request, response, options)
  }

  /** Takes a request over that asks for another protocol, with its connection. Never throws. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: HandleOptions): void {
    const response = options.response ?? new ServerResponse(request)
    if (options.response === undefined) response.assignSocket(socket as Socket)
    response.shouldKeepAlive = false
    response.once('finish', () => (socket as Socket).destroySoon())
    if (head.length > 0) socket.unshift(head)
    handle(this.#ports, request, response, options)
  }

  /** Records a request that the host answers by itself. Never throws. */
  observe(request: IncomingMessage, response: ServerResponse, options: HandleOptions): void {
    observe(this.#ports, request, response, options)
  }

  /** What adapters work with. */
  adapterPort(refused: AdapterPort['refused']): AdapterPort {
    return {
      handle: (request, response, given = {}) => this.handle(request, response, given),
      upgrade: (request, socket, head, given = {}) => this.upgrade(request, socket, head, given),
      observe: (request, response, given = {}) => this.observe(request, response, given),
      denies: (address) => this.#ports.denies(address),
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
