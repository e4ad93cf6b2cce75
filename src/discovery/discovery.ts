// Discovery: keeps the pool at what the configuration and the sources say.
import type { Backend } from '../backend.ts'
import { type Clock, within } from '../clock.ts'
import type { Source } from '../discovery.ts'
import { BalancerError } from '../errors.ts'
import type { Emit } from '../events.ts'
import type { Random } from '../random.ts'
import { DnsSource } from './dns.ts'
import { FileSource } from './file.ts'
import { iterableSource } from './iterable.ts'
import { isSameSource, type SourceOptions } from './options.ts'
import { Standing } from './standing.ts'
import { changesBetween, isSamePool, nowhere, type Topology, topologyOf } from './topology.ts'

/** Whether two lists of sources are the same, also where functions only differ. */
export const isSameDiscovery = (a: readonly SourceOptions[], b: readonly SourceOptions[]): boolean =>
  a.length === b.length && a.every((source, i) => isSameSource(source, b[i]!))

/** How long `ready` waits for the first report of each source. */
const readyTimeoutMs = 10_000

export interface DiscoveryPart {
  readonly backends: readonly Backend[]
  readonly discovery: readonly SourceOptions[]
  /** Weights that operators have set on backends that were found. */
  readonly weights: Readonly<Record<string, number>>
}

export interface DiscoveryPort {
  readonly clock: Clock
  readonly random: Random
  readonly emit: Emit
  /** Called when sources have changed the pool, never within `apply`. */
  readonly changed: () => void
}

export class Discovery {
  readonly #port: DiscoveryPort
  #config: DiscoveryPart = { backends: [], discovery: [], weights: {} }
  #standings: readonly Standing[] = []
  #topology: Topology = nowhere
  #closed = false

  constructor(port: DiscoveryPort) {
    this.#port = port
  }

  /** All that are in the pool. */
  get members(): readonly Backend[] {
    return this.#topology.members
  }

  /** Which source a member comes from, as text; undefined if it is of the configuration, or none. */
  sourceOf(id: string): string | undefined {
    const label = this.#topology.found.get(id)?.label
    return label === undefined ? undefined : `${label.source} ${label.of}`
  }

  /**
   * Goes by this configuration from now on, and returns all that are in the pool. A source that is the same as before goes on;
   * one that takes the place of another serves what that had found, until it has a good set of its own.
   */
  apply(config: DiscoveryPart): readonly Backend[] {
    if (config.discovery !== this.#config.discovery && !this.#closed) this.#renew(config.discovery)
    this.#config = config
    this.#rebuild()
    return this.members
  }

  /** Resolves once each source has found a set or failed to. Rejects if nobody is in the pool then, by the fault of a source. */
  async ready(): Promise<void> {
    if (this.#standings.length === 0) return
    const firsts = Promise.all(this.#standings.map(({ first }) => first))
    await within<unknown>(this.#port.clock, firsts, readyTimeoutMs, undefined)
    const faults = this.#standings.flatMap(({ fault }) => fault ?? [])
    if (!this.#closed && this.members.length === 0 && faults.length > 0)
      throw new BalancerError('discovery-failed', faults.join('; '))
  }

  close(): void {
    this.#closed = true
    for (const standing of this.#standings) standing.close()
  }

  #renew(next: readonly SourceOptions[]): void {
    const before = this.#standings
    const kept = new Set<Standing>()
    this.#standings = next.map((options, i) => {
      const same = before.find((standing) => !kept.has(standing) && isSameSource(standing.options, options))
      if (same !== undefined) {
        kept.add(same)
        return same
      }
      const replaced = before[i]
      const hasGone = replaced !== undefined && !next.some((other) => isSameSource(replaced.options, other))
      return this.#start(options, hasGone ? replaced.backends : [])
    })
    for (const standing of before) if (!kept.has(standing)) standing.close()
  }

  #start(options: SourceOptions, inherited: readonly Backend[]): Standing {
    const { clock, emit } = this.#port
    const changed = (): void => {
      if (this.#rebuild()) this.#port.changed()
    }
    return new Standing(options, this.#sourceFor(options), { clock, emit, changed }, inherited)
  }

  #sourceFor(options: SourceOptions): Source {
    const { clock, random } = this.#port
    if (options.type === 'dns') return new DnsSource(options, clock, random)
    return options.type === 'file' ? new FileSource(options, clock) : iterableSource(options)
  }

  /** Tells what changed; returns whether the pool did. */
  #rebuild(): boolean {
    const before = this.#topology
    const after = topologyOf(this.#config.backends, this.#standings, this.#config.weights)
    this.#topology = after
    for (const fields of changesBetween(before, after)) this.#port.emit('topology.changed', fields)
    return !isSamePool(before.members, after.members)
  }
}
