// The hop as a whole: what runs on each backend, the copies, and the door by which requests come in.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { BackendState } from '../backend.ts'
import type { Random } from '../random.ts'
import type { PickRequest } from '../request.ts'
import { handle } from './exchange.ts'
import { type MirrorConfig, Mirrors } from './mirror.ts'
import type { HandleOptions, Ports } from './ports.ts'
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

  /** Breaks off what runs on this backend: requests are tried elsewhere where they may be. */
  cut(backend: BackendState): void {
    this.#ports.running.cut(backend)
  }

  /** Breaks off all copies, and begins no more. */
  closeMirrors(): void {
    this.#ports.mirrors.close()
  }
}
