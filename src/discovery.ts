// The contract of a source that finds backends, and what the events of discovery tell.
import type { Backend } from './backend.ts'
import type { Problem } from './errors.ts'

export const sourceTypes = ['dns', 'file', 'iterable'] as const

/** Why a source gave no set that can be used. */
export const discoveryCauses = [
  'bad-response',
  'empty',
  'ended',
  'invalid',
  'not-found',
  'refused',
  'server-failed',
  'threw',
  'timeout',
  'unreachable',
  'unreadable',
] as const
type DiscoveryCause = (typeof discoveryCauses)[number]

/**
 * What became of a discovered backend. `shadowed`: a backend of the configuration, or of an earlier source, has its id, and is
 * the one that serves.
 */
export const topologyChanges = ['joined', 'left', 'changed', 'shadowed'] as const
export type TopologyChange = (typeof topologyChanges)[number]

/** Which source: its type, and the DNS name, the path or the name that it was given. */
export interface SourceLabel {
  readonly source: (typeof sourceTypes)[number]
  readonly of: string
}

export interface SourceFailure {
  readonly cause: DiscoveryCause
  readonly detail?: string
  /** Each value that is not valid, with its place. */
  readonly problems?: readonly Problem[]
}

/** What a source found: a whole set, a failure, or both where a part of it failed. */
export interface SourceReport {
  readonly backends?: readonly Backend[]
  readonly failure?: SourceFailure
}

/** Finds backends. Reports from `start` to `close`, never within the call of `start`, and never throws. */
export interface Source {
  start(report: (found: SourceReport) => void): void
  /** Leaves no timer, socket or watcher behind. Nothing is reported after it. */
  close(): void
}
