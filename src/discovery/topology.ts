// Who is in the pool: the backends of the configuration and those that were found, each id once; and what changed of that.
import type { Backend } from '../backend.ts'
import type { SourceLabel, TopologyChange } from '../discovery.ts'
import type { EventFields } from '../events.ts'

interface Found {
  readonly backend: Backend
  /** The label of the source, by which it is known: each source has an object of its own. */
  readonly label: SourceLabel
}

export interface Topology {
  /** Those of the configuration first, then those of each source in turn. */
  readonly members: readonly Backend[]
  /** The members that a source has found, by id, as it found them. */
  readonly found: ReadonlyMap<string, Found>
  /** Those that lost their id to others, by source and id. */
  readonly shadowed: ReadonlyMap<string, Found>
}

export const nowhere: Topology = { members: [], found: new Map(), shadowed: new Map() }

interface Finder {
  readonly label: SourceLabel
  readonly backends: readonly Backend[]
}

/** `weights` are those that operators have set on found ones. */
export function topologyOf(
  configured: readonly Backend[],
  finders: readonly Finder[],
  weights: Readonly<Record<string, number>>,
): Topology {
  const taken = new Set(configured.map(({ id }) => id))
  const found = new Map<string, Found>()
  const shadowed = new Map<string, Found>()
  const members = [...configured]
  finders.forEach(({ label, backends }, i) => {
    for (const backend of backends) {
      const { id } = backend
      if (taken.has(id)) {
        shadowed.set(`${i} ${id}`, { backend, label })
        continue
      }
      taken.add(id)
      found.set(id, { backend, label })
      const weight = Object.hasOwn(weights, id) ? weights[id] : undefined
      members.push(weight === undefined ? backend : Object.freeze({ ...backend, weight }))
    }
  })
  return { members, found, shadowed }
}

type Told = EventFields<'topology.changed'>

/** One event for each backend that joined, left, changed or was shadowed. Those that left come first. */
export function changesBetween(before: Topology, after: Topology): Told[] {
  const left: Told[] = []
  const rest: Told[] = []
  const tell = (to: Told[], change: TopologyChange, { backend, label }: Found, was?: Backend, is?: Backend): void => {
    to.push({
      backend: { id: backend.id, address: backend.address, port: backend.port },
      discovery: {
        ...label,
        change,
        ...(was === undefined ? {} : { before: recordOf(was) }),
        ...(is === undefined ? {} : { after: recordOf(is) }),
        pool_size: after.members.length,
      },
    })
  }
  /** Those that served until now. */
  const newlyShadowed = new Set<string>()
  for (const [key, entry] of after.shadowed) {
    if (before.shadowed.has(key)) continue
    const was = before.found.get(entry.backend.id)
    const served = was?.label === entry.label
    if (served) newlyShadowed.add(entry.backend.id)
    tell(rest, 'shadowed', entry, served ? was.backend : undefined, entry.backend)
  }
  for (const [id, entry] of before.found) {
    // With another URL it is another one by the same name.
    if (after.found.get(id)?.backend.url === entry.backend.url || newlyShadowed.has(id)) continue
    tell(left, 'left', entry, entry.backend)
  }
  for (const [id, entry] of after.found) {
    const was = before.found.get(id)
    if (was?.backend.url !== entry.backend.url || newlyShadowed.has(id))
      tell(rest, 'joined', entry, undefined, entry.backend)
    else if (!isSame(was.backend, entry.backend) || was.label.of !== entry.label.of)
      tell(rest, 'changed', entry, was.backend, entry.backend)
  }
  return [...left, ...rest]
}

/** Whether the pool is the same one, its order too. */
export const isSamePool = (a: readonly Backend[], b: readonly Backend[]): boolean =>
  a.length === b.length && a.every((backend, i) => backend.id === b[i]!.id && isSame(backend, b[i]!))

const isSame = (a: Backend, b: Backend): boolean =>
  a === b || JSON.stringify(recordOf(a)) === JSON.stringify(recordOf(b))

/** What was declared of a backend, in one order. */
function recordOf({ url, weight, priority, zone, group, maxInFlight, serverName, socketPath, tls }: Backend) {
  return {
    url,
    weight,
    priority,
    ...(zone === undefined ? {} : { zone }),
    ...(group === undefined ? {} : { group }),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(tls === undefined ? {} : { tls: tls.toJSON() }),
  }
}
