// The face of an audit trail: what the host of the library can do with it.
import type { EventName } from '../events.ts'
import type { Sink } from '../sink.ts'
import type { Listener } from './bus.ts'
import type { Denial, Finding, Reading } from './record.ts'

/** What `close` could not deliver. */
export interface AuditClosed {
  /** Lines that a sink did not accept, by its name; a file sink's are those that could not be written. */
  readonly undelivered: Readonly<Record<string, number>>
}

/**
 * The audit trail: a bus to listen to, sinks to deliver to, and a door for the host's own events. None of its functions
 * makes a request fail or wait, but that `record` throws for what is a mistake in the program that calls it.
 */
export interface Audit {
  /** Calls `listener` with every event of this name, `*` with all. It gets the redacted, frozen event. */
  on<N extends EventName>(name: N | '*', listener: Listener<N>): void
  off<N extends EventName>(name: N | '*', listener: Listener<N>): void
  /** Delivers every line from now on to this sink too. Throws `config-invalid` for a name that is taken. */
  addSink(sink: Sink): void
  /**
   * Records a denial of the host's own. What is too long is cut, and an actor may have an empty id. Throws `config-invalid`
   * for what cannot be recorded: no rule, no such phase, a member of another type.
   */
  record(name: 'access.denied', denial: Denial): void
  /** Records that somebody has read the log. Throws `config-invalid` for what cannot be recorded: no actor, no verb. */
  record(name: 'audit.read', reading: Reading): void
  /** Records what a witness finds, for which it calls this itself: it takes a trail as its option `audit`. */
  record(name: 'witness.origin_changed' | 'witness.refused', finding: Finding): void
  /** Records an event of the host's own, with any fields. Throws `event-unknown` for any other name. */
  record(name: `app.${string}`, fields: object): void
  /** Resolves once every sink is open, and rejects with `sink-unavailable` or `instance-held` if one cannot be. */
  ready(): Promise<void>
  /** Delivers what waits and closes the sinks, within `deadlineMs` (default 10,000). A second call waits for the first. */
  close(options?: { deadlineMs?: number }): Promise<AuditClosed>
}
