// Backends from DNS: A and AAAA records, or the services of SRV records, asked for anew when their TTL is over.
import type { Resolver } from 'node:dns/promises'
import { type Backend, backendSchema } from '../backend.ts'
import type { Clock, Timer } from '../clock.ts'
import type { Source, SourceFailure, SourceReport } from '../discovery.ts'
import { below, type Random } from '../random.ts'
import { addressesOf, openResolver, type Service, servicesOf } from './lookup.ts'
import type { DnsOptions } from './options.ts'
import { detailOf } from './set.ts'

/** The longest wait after failures, unless the TTLs are bound more tightly: an outage of DNS should not outlast itself. */
const mostBackoffMs = 30_000
/** The highest `priority` that a backend can have. */
const lastLevel = 100

interface Round {
  readonly backends: readonly Backend[]
  readonly ttlMs: number | undefined
  readonly failure: SourceFailure | undefined
  readonly none: SourceFailure | undefined
}

export class DnsSource implements Source {
  readonly #options: DnsOptions
  readonly #clock: Clock
  readonly #random: Random
  #report: (found: SourceReport) => void = () => undefined
  #resolver: Resolver | undefined
  #timer: Timer | undefined
  #closed = false
  /** Rounds in a row without a whole answer. */
  #failures = 0
  /** The addresses of each name that were found last. */
  #known = new Map<string, readonly string[]>()

  constructor(options: DnsOptions, clock: Clock, random: Random) {
    this.#options = options
    this.#clock = clock
    this.#random = random
  }

  start(report: (found: SourceReport) => void): void {
    this.#report = report
    void this.#run()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
    this.#resolver?.cancel()
  }

  async #run(): Promise<void> {
    const { backends, ttlMs, failure, none } = await this.#round()
    if (this.#closed) return
    const fault = failure ?? (this.#options.allowEmpty ? undefined : none)
    this.#failures = fault === undefined ? 0 : this.#failures + 1
    // Where a part failed and the others have nothing, nothing can be said of the whole.
    if (fault === undefined) this.#report({ backends })
    else this.#report(backends.length === 0 ? { failure: fault } : { backends, failure: fault })
    this.#timer = this.#clock.after(this.#waitMs(ttlMs), () => void this.#run())
  }

  async #round(): Promise<Round> {
    const { timeoutMs, servers, record } = this.#options
    try {
      const resolver = openResolver(timeoutMs, servers)
      this.#resolver = resolver
      return await (record === 'SRV' ? this.#services(resolver) : this.#hosts(resolver))
    } catch (error) {
      // A name server can answer with targets that no backend can have.
      return {
        backends: [],
        ttlMs: undefined,
        failure: { cause: 'bad-response', detail: detailOf(error) },
        none: undefined,
      }
    }
  }

  #waitMs(ttlMs: number | undefined): number {
    const { minTtlMs, maxTtlMs } = this.#options
    if (this.#failures === 0) {
      const ttl = Math.min(Math.max(ttlMs ?? 0, minTtlMs), maxTtlMs)
      // Many nodes that have asked at once should not do so for ever.
      return Math.max(minTtlMs, ttl - below(this.#random, Math.ceil(ttl / 10)))
    }
    const ceiling = Math.max(minTtlMs, Math.min(maxTtlMs, mostBackoffMs))
    const backoff = Math.min(ceiling, minTtlMs * 2 ** Math.min(this.#failures, 30))
    return backoff / 2 + below(this.#random, Math.ceil(backoff / 2))
  }

  async #hosts(resolver: Resolver): Promise<Round> {
    const { name, record, protocol } = this.#options
    const families = record === 'A' || record === 'AAAA' ? [record] : (['A', 'AAAA'] as const)
    const { found, ...rest } = await addressesOf(name, { resolver, families, known: this.#known, keepsAbsent: false })
    const port = this.#options.port ?? (protocol === 'https' ? 443 : 80)
    const backends = inOrder(found.map((address) => this.#backend(address, port, name, {})))
    return { backends, ttlMs: rest.ttlMs, failure: rest.failure, none: rest.none }
  }

  async #services(resolver: Resolver): Promise<Round> {
    const { name, srvTtlMs, priority } = this.#options
    const { found: services, failure, none } = await servicesOf(resolver, name)
    if (services.length === 0) return { backends: [], ttlMs: srvTtlMs, failure, none }
    const targets = [...new Set(services.map((service) => service.name))]
    const known = this.#known
    // While its service is announced, a target keeps the addresses that it had.
    const addressing = { resolver, families: ['A', 'AAAA'], known, keepsAbsent: true } as const
    const answers = await Promise.all(targets.map((target) => addressesOf(target, addressing)))
    const current = new Set(targets)
    for (const key of known.keys()) if (!current.has(key.slice(key.indexOf(' ') + 1))) known.delete(key)
    const levels = [...new Set(services.map((service) => service.priority))].sort((a, b) => a - b)
    const levelOf = (service: Service): number =>
      Math.min(lastLevel, (priority ?? 0) + levels.indexOf(service.priority))
    const backends = [...services].sort(byRank).flatMap((service) =>
      answers[targets.indexOf(service.name)]!.found.map((address) =>
        this.#backend(address, service.port, service.name, {
          priority: levelOf(service),
          // 0 asks for a very small share (RFC 2782); of ours, 0 would mean none.
          weight: Math.max(1, service.weight),
        }),
      ),
    )
    return {
      backends: inOrder(backends),
      ttlMs: Math.min(srvTtlMs, ...answers.flatMap(({ ttlMs }) => ttlMs ?? [])),
      failure: answers.find((answer) => answer.failure !== undefined)?.failure,
      none: undefined,
    }
  }

  #backend(address: string, port: number, name: string, own: { weight?: number; priority?: number }): Backend {
    const { protocol, weight, priority, zone, group, maxInFlight } = this.#options
    const host = address.includes(':') ? `[${address}]` : address
    // No certificate has the dot of the root.
    const serverName = name.replace(/\.$/, '')
    const url = `${protocol}://${host}:${port}`
    return backendSchema.parse({ url, weight, priority, zone, group, maxInFlight, serverName, ...own })
  }
}

/** The preferred first: of two records with one address and port that one counts. */
const byRank = (a: Service, b: Service): number => a.priority - b.priority || b.weight - a.weight

/** Each once, in an order that does not depend on that of the answer, which name servers rotate. */
function inOrder(backends: readonly Backend[]): Backend[] {
  const byId = new Map<string, Backend>()
  for (const backend of backends) if (!byId.has(backend.id)) byId.set(backend.id, backend)
  return [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1))
}
