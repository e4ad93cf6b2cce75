// One round of questions to name servers: the addresses of names, and the records of a service.
import { Resolver } from 'node:dns/promises'
import type { SourceFailure } from '../discovery.ts'
import { reasonOf } from '../errors.ts'

type Family = 'A' | 'AAAA'

/** What is known of a name, or of the parts of it that could be asked for. */
export interface Answer<T> {
  readonly found: readonly T[]
  /** The shortest TTL of the records; undefined if there are none, or none is told. */
  readonly ttlMs?: number | undefined
  /** Set if the question, or a part of it, had no answer: what is found may be what was known before. */
  readonly failure?: SourceFailure | undefined
  /** Set if the answer is that there is nothing. */
  readonly none?: SourceFailure | undefined
}

export interface Service {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** The codes of c-ares by which a name server says that there is nothing. */
const absent: Readonly<Record<string, SourceFailure['cause']>> = { ENODATA: 'empty', ENOTFOUND: 'not-found' }
const failed: Readonly<Record<string, SourceFailure['cause']>> = {
  ESERVFAIL: 'server-failed',
  EREFUSED: 'refused',
  ETIMEOUT: 'timeout',
  ECONNREFUSED: 'unreachable',
}
/** How often each name server is asked: datagrams get lost. */
const tries = 2

/** A new resolver for each round: it follows changes of the system's list of name servers, and caches nothing. */
export function openResolver(timeoutMs: number, servers: readonly string[] | undefined): Resolver {
  const resolver = new Resolver({ timeout: timeoutMs, tries })
  if (servers !== undefined) resolver.setServers(servers)
  return resolver
}

export interface Addressing {
  readonly resolver: Resolver
  readonly families: readonly Family[]
  /** The addresses that were found last, by family and name. Written here. */
  readonly known: Map<string, readonly string[]>
  /** Whether a name that has no address any more keeps those that it had, as a failure. */
  readonly keepsAbsent: boolean
}

/** The addresses of a name: a family that could not be asked for has those that it had. */
export async function addressesOf(name: string, options: Addressing): Promise<Answer<string>> {
  const { resolver, families, known, keepsAbsent } = options
  const parts = await Promise.all(families.map((family) => familyOf(resolver, name, family)))
  // That one family has no record is no news while the other has some.
  const none = parts.every((part) => part.none !== undefined)
    ? (parts.find((part) => part.none?.cause === 'not-found') ?? parts[0])?.none
    : undefined
  const found = parts.flatMap((part, i) => {
    const key = `${families[i]} ${name}`
    if (part.failure !== undefined || (none !== undefined && keepsAbsent)) return known.get(key) ?? []
    known.set(key, part.found)
    return part.found
  })
  const ttls = parts.flatMap(({ ttlMs }) => ttlMs ?? [])
  const ttlMs = ttls.length === 0 ? undefined : Math.min(...ttls)
  const failure = parts.find((part) => part.failure !== undefined)?.failure
  return keepsAbsent ? { found, ttlMs, failure: failure ?? none } : { found, ttlMs, failure, none }
}

const familyOf = (resolver: Resolver, name: string, family: Family): Promise<Answer<string>> =>
  ask(name, family, async () => {
    const records = await (family === 'A'
      ? resolver.resolve4(name, { ttl: true })
      : resolver.resolve6(name, { ttl: true }))
    const ttls = records.map(({ ttl }) => ttl * 1000)
    return { found: records.map(({ address }) => address), ttlMs: ttls.length === 0 ? undefined : Math.min(...ttls) }
  })

/** The SRV records of a name. The root as a target says that there is no such service (RFC 2782); nor is there a port 0. */
export const servicesOf = (resolver: Resolver, name: string): Promise<Answer<Service>> =>
  ask(name, 'SRV', async () => {
    const records = await resolver.resolveSrv(name)
    return { found: records.filter(({ name: target, port }) => target !== '' && target !== '.' && port !== 0) }
  })

async function ask<T>(name: string, record: string, question: () => Promise<Answer<T>>): Promise<Answer<T>> {
  try {
    const answer = await question()
    return answer.found.length > 0 ? answer : { found: [], none: { cause: 'empty', detail: `${record} ${name}` } }
  } catch (error) {
    const code = String((error as { code?: unknown } | undefined)?.code ?? reasonOf(error))
    const detail = `${code} ${record} ${name}`
    const nothing = absent[code]
    if (nothing !== undefined) return { found: [], none: { cause: nothing, detail } }
    return { found: [], failure: { cause: failed[code] ?? 'bad-response', detail } }
  }
}
